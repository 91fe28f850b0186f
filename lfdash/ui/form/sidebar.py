"""The form as it is drawn: presets, filter, the essentials, and the groups that apply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from lfdash import locales
from lfdash.data.dataset_info import DatasetInfo
from lfdash.engine import context as facts
from lfdash.engine import models
from lfdash.engine.context import MODEL, PATH
from lfdash.engine.services import Services
from lfdash.jobs.args import build_args
from lfdash.jobs.converters import SAVES, model_name
from lfdash.jobs.field import Field
from lfdash.jobs.fields import BY_ID, GROUPS, arguments
from lfdash.jobs.job import JobConfig, coerce
from lfdash.jobs.presets import Preset
from lfdash.jobs.secret_arguments import HIDDEN
from lfdash.jobs.stages import BY_CODE
from lfdash.outcomes import Problem
from lfdash.ui.form import configurations, extra_arguments, model_field, origin, target, undo, widgets
from lfdash.ui.form.origin import NEW, OWN, PRESET, PRESET_PICK
from lfdash.ui.form.state import Form
from lfdash.ui.shared import clicks, keyed, scripts
from lfdash.ui.shared.text import choice, help_text, label, lookup, markdown_safe, t
from lfdash.ui.targets import dialog as target_dialog
from lfdash.workspace.folders import weights_in

ESSENTIAL = ("run", "model", "method", "data", "hyper", "generation", "export", "chat")
FILTER = "page.filter"
MORE = "more"  # the group of arguments without a row
LONGEST_EXTRA = 60  # characters of a value that stands there, shown at its field
GO_TO, GONE = "page.go_to", "page.gone"  # the key of what is to be shown; how often something was


def draw(form: Form) -> None:
    """The whole sidebar below the navigation."""
    scripts.hide_doubles()
    with st.container(key="form_head"):  # one part, however much is told in it: what follows keeps its place
        draw_preset(form)
    st.text_input(
        t("ui.filter"),
        key=FILTER,
        placeholder=t("ui.filter"),
        label_visibility="collapsed",
        type="search",
        live=True,
        icon=":material/search:",
        persist_state="session",
    )
    wanted = (st.session_state.get(FILTER) or "").strip().casefold()
    if wanted:
        st.fragment(partial(draw_found, form, wanted), key="found")()
        return
    st.fragment(partial(draw_essentials, form), key="essentials")()
    job = form.read().job
    for group in GROUPS:
        if group.name not in ESSENTIAL and group.when.holds(job.get):
            st.fragment(partial(draw_group, form, group.name), key=f"group_{group.name}")()
    st.fragment(partial(draw_more, form), key="group_more")()
    target_dialog.open_button(form.services)
    draw_way()


def go_to(field_id: str) -> None:
    """Shows a field with the next run of the page: opens its group, drops a filter, scrolls to it and goes into it. A
    field that problems name is one, arguments without a row too."""
    st.session_state[FILTER] = ""
    group = group_of(field_id)
    if group is not None:
        st.session_state[f"open_{group}"] = True
    key = f"group_{MORE}" if field_id == extra_arguments.FIELD else PATH if field_id == MODEL else field_id
    st.session_state[GO_TO] = key


def draw_way() -> None:
    """Leads to the field that `go_to` named, once."""
    key = st.session_state.pop(GO_TO, None)
    if key is not None:
        st.session_state[GONE] = st.session_state.get(GONE, 0) + 1
        scripts.show(key, st.session_state[GONE])


def draw_preset(form: Form) -> None:
    """The preset and its line of advice (of a form that starts from one), files, and what differs."""
    presets = form.services.presets
    own = [f"{OWN}{name}" for name in configurations.saved(form.services).names()]
    if form.kind.starts_from == "preset":
        keyed.select(
            t("ui.preset"),
            [NEW, *presets, *own],
            key=PRESET_PICK,
            page=form.page,
            word=partial(preset_word, form),
            placeholder=t("ui.preset_none"),
            on_change=pick_preset,
            args=(form,),
            help=t("ui.preset_help"),
        )
        name = st.session_state.get(PRESET)
        if name in presets:
            st.caption(preset_text(presets[name])[1])
    for note, params in form.notes:
        safe = {key: markdown_safe(value) if isinstance(value, str) else value for key, value in params.items()}
        st.caption(f":material/info: {t(note, **safe)}")
    told = st.container()
    with st.container(key="form_menus", horizontal=True, gap="small"):
        configurations.draw(form)
        st.fragment(partial(draw_changed, form), key="changed")()
        draw_replaced(form, told)


def preset_word(form: Form, name: str) -> str:
    """A line of the list of presets; those of one's own are saved configurations, and say so."""
    if name == NEW:
        return t("ui.preset_pick")
    if name.startswith(OWN):
        return t("ui.preset_saved", name=name.removeprefix(OWN))
    return preset_text(form.services.presets[name])[0]


def preset_text(preset: Preset) -> tuple[str, str]:
    """Title and advice of a preset: the locale's, else those that its file says."""
    found = lookup("presets", preset.name)
    return (str(found[0]), str(found[1])) if found else (preset.title, preset.advice)


def pick_preset(form: Form) -> None:
    """A preset was chosen, or a new form. A name that no preset has leaves the form as it is."""
    name = st.session_state.get(PRESET_PICK)
    if name == NEW:
        form.load_new()
    elif str(name).startswith(OWN):
        configurations.open_saved(form, str(name).removeprefix(OWN))
        origin.show_own(form, str(name))
        form.save_draft()
    elif name in form.services.presets:
        form.load_preset(name)
    else:
        origin.show_again(form)
        form.set_notes([("ui.preset_unknown", {"name": markdown_safe(str(name))})])


def draw_replaced(form: Form, told: DeltaGenerator) -> None:
    """What was replaced last and by whom, with the way back; after that the way back from there.

    told: where it is said.
    """
    replaced, undone = undo.last(form), undo.undone(form)
    if replaced is None and undone is None:
        return
    if replaced is not None:
        told.caption(f":material/swap_horiz: {t('ui.replaced', count=replaced.count, what=who(replaced))}")
    with st.container(key="replaced", horizontal=True, gap="small"):
        if replaced is not None:
            draw_difference(form, replaced)
            st.button(t("ui.undo"), key="undo", icon=":material/undo:", type="tertiary", on_click=form.undo)
        if undone is not None:
            help_ = t("ui.replaced", count=undone.count, what=who(undone))
            st.button(
                t("ui.redo"), key="redo", icon=":material/redo:", type="tertiary", on_click=form.redo, help=help_
            )


def draw_difference(form: Form, replaced: undo.Replaced) -> None:
    """What was replaced last, value by value."""
    with st.popover(t("ui.replaced_list"), type="tertiary", icon=":material/compare:", key="replaced_menu"):
        for row, old, new in undo.changes(form, replaced):
            st.markdown(f"**{label(row.id)}** · {raw_words(row, old)} → {raw_words(row, new)}")
        if "" in replaced.changed:
            st.caption(t("ui.replaced_more"))


def raw_words(row: Field, raw: Any) -> str:
    """A raw value in words, safe inside Markdown."""
    return shown_value(row, raw if widgets.is_given(raw) else None)


def who(replaced: undo.Replaced) -> str:
    """Who replaced something, safe inside Markdown."""
    key, params = replaced.what
    return t(key, **{name: markdown_safe(str(value)) for name, value in params.items()})


def draw_changed(form: Form) -> None:
    """What differs from the preset, each with its way back."""
    changed = form.changed_ids()
    if not changed:
        return
    with st.popover(
        t("ui.changed", count=len(changed)), type="tertiary", icon=":material/difference:", key="changed_menu"
    ):
        for field_id in changed:
            row = BY_ID[field_id]
            name, button = st.columns([4, 1], vertical_alignment="center")
            before = form.baseline.get(field_id)
            if field_id == PATH:
                before = models.shown(form.services, str(form.baseline.get(MODEL) or ""), str(before or ""))
            name.markdown(t("ui.changed_from", label=label(field_id), value=shown_value(row, before)))
            button.button(
                t("ui.reset_one", label=label(field_id)),
                icon=":material/undo:",
                key=f"reset.{field_id}",
                on_click=reset_one,
                args=(form, field_id),
                help=t("ui.reset_one", label=label(field_id)),
            )
        st.button(
            t("ui.reset_all"),
            key="reset.all",
            on_click=reset,
            args=(form, changed),
            width="stretch",
        )


def reset(form: Form, field_ids: list[str]) -> None:
    """A button of the menu was pressed: it lies in a fragment, and the whole page follows."""
    form.reset(field_ids)
    st.rerun()


def reset_one(form: Form, field_id: str) -> None:
    """The button of one row was pressed. The second half of a double click is none of the row that has moved up."""
    if clicks.is_first("reset"):
        reset(form, [field_id])


def shown_value(row: Field, value: object) -> str:
    """A value in words, safe inside Markdown."""
    if value is None or value == "":
        return t("target.here") if target.is_target(row) else t("ui.not_set")
    if row.secret:
        return HIDDEN
    if isinstance(value, bool):
        return t("ui.on") if value else t("ui.off")
    if isinstance(value, list):
        return markdown_safe(", ".join(map(str, value)))
    return markdown_safe(choice(row.id, value))


def draw_essentials(form: Form) -> None:
    """The fields every run needs, always open."""
    context = FieldContext(form, "essentials")
    for name in ESSENTIAL:
        draw_rows(context, [row for row in form.rows if row.group == name and context.shows(row)])


def draw_group(form: Form, name: str) -> None:
    """One group in an expander; its widgets exist only while it is open."""
    context = FieldContext(form, f"group_{name}")
    rows = [row for row in form.rows if row.group == name and context.shows(row)]
    if not rows:
        return
    marked = sum(row.id in context.changed for row in rows)
    wrong = [found for row in rows for found in context.problems.get(row.id, ())]
    with st.container(key=f"group_{name}"):
        with keyed.expander(t(f"groups.{name}"), key=f"open_{name}", page=form.page) as box:
            if box.open:
                draw_rows(context, rows)
        draw_mark(marked, wrong)


def draw_mark(count: int, wrong: Sequence[Problem]) -> None:
    """What lies in a group, at the right of its title: a title that changes makes the expander a new, closed one."""
    parts = [f'<span class="lf-blue">● {count}</span>'] if count else []
    if wrong:
        look = "fail" if any(problem.level == "error" for problem in wrong) else "stop"
        parts.append(f'<span class="lf-{look}">⚠</span>')
    st.html(f'<span class="lf-mark">{" ".join(parts)}</span>')


def draw_more(form: Form) -> None:
    """Arguments that the form has no row for."""
    context = FieldContext(form, "group_more")
    wrong = context.problems.get(extra_arguments.FIELD, ())
    with st.container(key="group_more"):
        with keyed.expander(t("groups.more"), key="open_more", page=form.page) as box:
            if box.open:
                changed = partial(form.on_change, extra_arguments.FIELD, "group_more")
                extra_arguments.draw(form.services, form.extra, changed)
                widgets.draw_problems(wrong)
        draw_mark(len(form.extra.names), wrong)


def draw_found(form: Form, wanted: str) -> None:
    """Every field that the text means; those that do not apply say so."""
    context = FieldContext(form, "found")
    known = form.services.upstream.arguments
    helps = {row.id: known[argument_of(row)].help for row in form.rows if argument_of(row) in known}
    rows = [row for row in form.rows if matches(row, wanted, helps.get(row.id) or "") and context.may_show(row)]
    if not rows:
        st.caption(t("ui.filter_none", text=markdown_safe(wanted)))
    draw_rows(context, rows)


def matches(row: Field, wanted: str, upstream_help: str = "") -> bool:
    """Whether a filter text means this field: its name, argument or label has it, or its name, label, help and other
    names together have each of its words. upstream_help: LLaMA-Factory's own, where ours is missing."""
    names = (row.name, row.arg or "", label(row.id))
    if any(wanted in text.casefold() for text in names):
        return True
    text = " ".join((*names, help_text(row.id) or upstream_help, synonyms(row.id))).casefold()
    return all(word in text for word in wanted.split())


def synonyms(field_id: str) -> str:
    """Other words that people look for a setting by, in the language of now and in English."""
    own, english = lookup("synonyms", field_id), locales.lookup(locales.DEFAULT_LANGUAGE, "synonyms", field_id)
    return " ".join(str(words) for words in (own, english) if words)


class FieldContext:
    """What all widgets of one fragment need: the job, what is wrong, what differs, what can be chosen."""

    def __init__(self, form: Form, fragment: str) -> None:
        self.form = form
        self.fragment = fragment
        reading = form.read()
        self.job: JobConfig = reading.job
        self.changed = set(form.changed_ids())
        self.problems: dict[str, tuple[Problem, ...]] = {}
        for found in form.shown_problems(reading):
            owner = found.field or ""
            self.problems[owner] = (*self.problems.get(owner, ()), found)

    def shows(self, row: Field) -> bool:
        """Whether a field applies to the job as it is."""
        return self.may_show(row) and row.when.holds(self.job.get)

    def may_show(self, row: Field) -> bool:
        """Whether a field can apply to some job of this form."""
        return not row.hidden and target.is_shown(self.form.services, self.job, row)

    def look(self, row: Field) -> widgets.Appearance:
        """How a field appears now."""
        services = self.form.services
        argument = services.upstream.arguments.get(argument_of(row))
        value = self.sent_instead(row)
        return widgets.Appearance(
            page=self.form.page,
            options=options(services, self.job, row),
            default=argument.default if argument else row.absent,
            upstream_help=(argument.help or "") if argument and not help_text(row.id) else "",
            problems=self.problems.get(row.id, ()),
            reason="" if self.shows(row) else t("ui.not_now"),
            extra="" if value is None else extra_arguments.written(value)[:LONGEST_EXTRA],
            refused=value is not None and coerce(row, value).status == "refused",
            nothing=target.nothing_words(services, self.job, row),
        )

    def sent_instead(self, row: Field) -> Any:
        """The value that the field's argument has under *More arguments*, while the field itself is empty; None where
        it has none."""
        return self.job.extra.get(argument_of(row)) if row.id not in self.job.values and self.shows(row) else None


def options(services: Services, job: JobConfig, row: Field) -> list[str]:
    """What a choice offers: its own list, or what is installed or found in the workspace."""
    if not isinstance(row.choices, str):
        return list(row.choices)
    if row.choices == "datasets":
        return suitable(services.datasets(facts.data_folder(job)), job)
    if row.choices == "checkpoints":
        return saved_runs(services, job)
    if row.choices == "gpus":
        return [str(gpu.index) for gpu in services.devices.gpus]
    if row.choices == "targets":
        return target.offered(services)
    if row.choices == "models":
        return list(services.upstream.models)
    if row.choices == "templates":
        return list(services.upstream.templates)
    argument = services.upstream.arguments.get(argument_of(row))
    return [str(item) for item in argument.choices or ()] if argument else []


def suitable(known: DatasetInfo, job: JobConfig) -> list[str]:
    """The datasets that suit the stage: ranked pairs for some, anything else for the others."""
    stage = BY_CODE.get(str(build_args(job).get("stage", "sft")))
    if stage is None:
        return list(known.names)
    return [name for name in known.names if known.ranking[name] == stage.ranked]


def saved_runs(services: Services, job: JobConfig) -> list[str]:
    """What a job of this model and method can start from: LlamaBoard's list, and by path what it leaves out.

    That is the last checkpoint of runs that did not come to save their model, and OFT adapters, which
    LLaMA-Factory loads while the method is called LoRA.
    """
    method = str(job.get("top.finetuning_type"))
    parent = f"{SAVES}/{model_name(job.get)}".replace(" ", "")
    names = weights_in(services.workspace.root / parent / method)
    cut = [
        f"{view.output_dir}/checkpoint-{view.saved.checkpoints[-1]}"
        for view in services.registry.snapshot()
        if view.output_dir.startswith(f"{parent}/{method}/") and view.saved.checkpoints and not view.saved.model
    ]
    oft = weights_in(services.workspace.root / parent / "oft") if method == "lora" else []
    return [*names, *cut, *(f"{parent}/oft/{name}" for name in oft)]


def argument_of(row: Field) -> str:
    """The argument whose help and default a field shows; "" when it sets none."""
    names = arguments(row)
    return names[0] if len(names) == 1 else ""


def draw_rows(context: FieldContext, rows: Sequence[Field]) -> None:
    """Fields below each other; two neighbouring short ones side by side."""
    widgets.mark_changed(row.id for row in rows if row.id in context.changed)
    one = next((row for row in rows if row.id in model_field.FIELDS), None)
    rows = [row for row in rows if row.id not in model_field.FIELDS or row is one]
    waiting: Field | None = None
    for row in rows:
        if row.kind in widgets.HALF_WIDTH and not row.wide:
            if waiting is None:
                waiting = row
                continue
            left, right = st.columns(2)
            with left:
                draw_row(context, waiting)
            with right:
                draw_row(context, row)
            waiting = None
            continue
        if waiting is not None:
            draw_row(context, waiting)
            waiting = None
        draw_row(context, row)
    if waiting is not None:
        draw_row(context, waiting)


def draw_row(context: FieldContext, row: Field) -> None:
    """One field."""
    form, look = context.form, context.look(row)
    if row.id in model_field.FIELDS:
        path = BY_ID[PATH]
        wrong = tuple(found for field_id in model_field.FIELDS for found in context.problems.get(field_id, ()))
        look = replace(look, problems=wrong)
        model_field.draw(form, look, widgets.shown_help(path, look), form.on_change, (PATH, context.fragment))
        return
    widgets.draw(row, look, form.on_change, (row.id, context.fragment))
    if target.is_target(row):
        target.draw_about(form.services, context.job)


def group_of(field_id: str) -> str | None:
    """The expander that must be open for a field to be seen; None for the essentials."""
    if field_id == extra_arguments.FIELD:
        return MORE
    row = BY_ID.get(field_id)
    return None if row is None or row.group in ESSENTIAL else row.group
