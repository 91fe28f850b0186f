"""Open and save configurations: files of LLaMA-Factory, of LlamaBoard, and those saved in the workspace."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import streamlit as st

from lfdash.engine import plans
from lfdash.engine.defaults import Note, with_model_path
from lfdash.engine.opening import board_told, command_told, older_told, takes_images, unfit_told
from lfdash.engine.services import Services
from lfdash.errors import ConfigError
from lfdash.jobs.importing import Loaded, few, read_config
from lfdash.jobs.kinds import named
from lfdash.jobs.yaml_format import text_of
from lfdash.outcomes import Refused
from lfdash.ui.form.state import Form
from lfdash.ui.shared import keyed
from lfdash.ui.shared.answers import refusal
from lfdash.ui.shared.text import config_error, listed, markdown_safe, t
from lfdash.workspace.saved_configs import SavedConfigs

UPLOAD, PICK, NAME, NEW_NAME = "config.upload", "config.pick", "config.name", "config.new_name"
PASTED = "config.pasted"
ELSEWHERE = "config.elsewhere"  # the page that the file of the last click belongs on
OPENED = "config.opened"  # how many configurations were opened
SUFFIXES = ("yaml", "yml", "json", "sh", "bash", "txt")
ANSWER = "config.answer"  # what the last click here answered, when it was refused


def saved(services: Services) -> SavedConfigs:
    """The workspace's saved configurations."""
    space, identity = services.workspace, services.registry.identity
    return SavedConfigs(space.configs, space.private / "trash", identity.check)


def draw(form: Form) -> None:
    """The two menus, side by side."""
    go_on()
    with st.container(horizontal=True, key="config_menus", gap="small"):
        with st.container(key="open_menu", width="content"):
            # another key is another menu: closed, so that what was opened is in view
            opened = f"open_menu_{st.session_state.get(OPENED, 0)}"
            with st.popover(t("ui.open"), icon=":material/folder_open:", type="tertiary", key=opened):
                draw_open(form)
        with st.popover(t("ui.save"), icon=":material/save:", type="tertiary", key="save_menu"):
            draw_save(form)
    answer = st.session_state.get(ANSWER)
    if answer:
        st.caption(f":red[:material/error: {markdown_safe(answer)}]")


def draw_open(form: Form) -> None:
    """A file, a text that is pasted, or a file that was saved here."""
    services = form.services
    answer = st.session_state.get(ANSWER)
    if answer:
        st.error(markdown_safe(answer), icon=":material/error:")
    st.file_uploader(t("ui.open_file"), type=list(SUFFIXES), key=UPLOAD, on_change=open_upload, args=(form,))
    st.caption(t("ui.open_help"))
    st.text_area(
        t("ui.open_paste"), key=PASTED, height=80, placeholder="llamafactory-cli … --stage sft --dataset …",
        persist_state="session",
    )
    st.button(t("ui.open_text"), key="config.open_text", on_click=open_pasted, args=(form,))
    names = saved(services).names()
    if not names:
        st.caption(t("ui.open_none"))
        return
    draw_saved(form, names)


def draw_saved(form: Form, names: list[str]) -> None:
    """The configurations of the workspace: open, rename, delete."""
    services = form.services
    name = keyed.select(
        t("ui.open_saved"), names, key=PICK, page=form.page, nothing=t("ui.open_pick"), placeholder=t("ui.open_pick")
    )
    if name is None:
        return
    st.button(t("ui.open_it"), key="config.open", type="primary", on_click=open_saved, args=(form, name))
    st.text_input(t("ui.new_name"), key=NEW_NAME, placeholder=name)
    with st.container(horizontal=True):
        st.button(t("ui.rename"), key="config.rename", on_click=rename, args=(services, name))
        confirm = st.checkbox(t("ui.delete_sure"), key="config.sure")
        st.button(
            t("ui.delete"), key="config.delete", on_click=delete, args=(services, name), disabled=not confirm,
            help=None if confirm else t("ui.delete_why"),
        )


def draw_save(form: Form) -> None:
    """A name for the form as it is."""
    st.text_input(t("ui.save_name"), key=NAME, placeholder=form.read().job.run_name or "job")
    name = (st.session_state.get(NAME) or "").strip()
    taken = name in saved(form.services).names()
    replace = taken and st.checkbox(t("ui.save_replace", name=markdown_safe(name)), key="config.replace")
    st.button(
        t("ui.save_it"), key="config.save", type="primary", on_click=save, args=(form, name, replace),
        disabled=not name or (taken and not replace), help=t("ui.save_help"),
    )


def open_upload(form: Form) -> None:
    """A file was chosen: read it into the form, or say why not."""
    file = st.session_state.get(UPLOAD)
    if file is None:
        return
    try:
        text = text_of(file.getvalue())
    except ConfigError as error:
        st.session_state[ANSWER] = t("ui.open_failed", name=file.name, reason=config_error(error))
        return
    take(form, text, file.name)


def open_pasted(form: Form) -> None:
    """Reads the text that was pasted into the form; it stays where it is when it cannot be."""
    text = st.session_state.get(PASTED) or ""
    take(form, text, t("ui.open_pasted"))
    if st.session_state.get(ANSWER) is None:
        st.session_state[PASTED] = ""


def open_saved(form: Form, name: str) -> None:
    """Reads a saved configuration into the form."""
    text = saved(form.services).load(name)
    if isinstance(text, Refused):
        refuse(text)
    else:
        take(form, text, name)


def take(form: Form, text: str, name: str) -> None:
    """Makes a configuration the content of the form of its kind, with an account of what became of it, and shows the
    page of that form."""
    services = form.services
    try:
        loaded = read_config(text, partial(takes_images, services), services.upstream.arguments)
        loaded = replace(loaded, job=with_model_path(services, loaded.job))
    except ConfigError as error:
        st.session_state[ANSWER] = t("ui.open_failed", name=name, reason=config_error(error))
        return
    st.session_state[ANSWER] = None
    st.session_state[OPENED] = st.session_state.get(OPENED, 0) + 1
    kind = named(loaded.job.kind)
    moved = kind.name != form.kind.name
    notes = [*account(loaded, name), *([("ui.loaded_moved", {"name": name})] if moved else [])]
    other = Form(services, kind)
    other.seed()  # so that what it held can be taken back
    other.load_job(loaded.job, notes)
    if moved:
        st.session_state[ELSEWHERE] = kind.page


def go_on() -> None:
    """Shows the page that a file belongs on: a click's own function cannot."""
    page = st.session_state.pop(ELSEWHERE, None)
    if page is not None:
        st.switch_page(page)


def account(loaded: Loaded, name: str) -> list[Note]:
    """What is said about a loaded file: what was kept where, and what does not fit."""
    notes: list[Note] = [(f"ui.loaded_{loaded.kind}", {"name": name, "fields": loaded.fields})]
    notes += [*command_told(loaded), *board_told(loaded), *older_told(loaded)]
    if loaded.extra:
        notes.append(("ui.loaded_extra", {"names": listed(few(loaded.extra))}))
    notes += [unfit_told(loaded, problem, "ui.loaded_unfit") for problem in loaded.unfit]
    if loaded.secrets:
        notes.append(("ui.loaded_secrets", {"names": listed(few(loaded.secrets))}))
    if loaded.left_out:
        notes.append(("ui.loaded_left_out", {"names": listed(few(loaded.left_out))}))
    if loaded.unknown:
        notes.append(("ui.loaded_unknown", {"names": listed(few(loaded.unknown))}))
    return notes


def save(form: Form, name: str, replace: bool) -> None:
    """Saves the form's job under a name, without its output folder and without secrets."""
    text = plans.document(form.read().job, t("ui.yaml_header"), with_output=False)
    refused = saved(form.services).save(name, text, replace=replace)
    refuse(refused)
    if refused is None:
        st.session_state[NAME] = ""
        st.toast(t("ui.saved_as", name=markdown_safe(name)))


def rename(services: Services, name: str) -> None:
    """Gives a saved configuration the name that was typed."""
    new = (st.session_state.get(NEW_NAME) or "").strip()
    refused = saved(services).rename(name, new)
    refuse(refused)
    if refused is None:
        st.session_state[PICK], st.session_state[NEW_NAME] = new, ""


def delete(services: Services, name: str) -> None:
    """Moves a saved configuration to the trash."""
    refuse(saved(services).delete(name))
    st.session_state[PICK], st.session_state["config.sure"] = None, False


def refuse(refused: Refused | None) -> None:
    """Keeps the answer to a click; None clears it."""
    st.session_state[ANSWER] = refusal(refused) if refused else None
