"""Ways to start a run. One module each, one interface (`base.Launcher`), one row each in `table.TABLE`."""
