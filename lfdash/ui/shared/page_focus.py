"""Where the focus goes when Streamlit leaves it behind, what is read aloud, and the help of a field by a key:
JavaScript, which `page_script` puts into its own."""

from __future__ import annotations

# A popover opens with the focus on its button, and its first control may be far away on the way of Tab: the focus goes
# into it. A key that is held down must not press what it finds there.
# What is pressed often vanishes by it, and the focus with it. It goes to what took its place: in the nearest part with
# a key that is still there, to what follows the last control before it that is still there; else to the page's
# heading. Nobody who went elsewhere is called back.
# A live region is read aloud when its text changes, and must be there before: so there is one for each name, and a
# part with `data-say` is what it says. Another `data-turn` says the same words again.
# Ctrl+Enter also applies what was typed into a text of several lines: in a dialog or a popover it does that alone, and
# never starts what the form behind it says. The text itself hears of it before: its box lies below this listener.
# F1 shows the help of the field that has the focus, and reads it aloud; F1 again, Esc or going on hides it.
FOCUS = """
  const reach = 'a[href], button, input, textarea, summary, [tabindex="0"]';
  const usable = (element) => element.isConnected && !element.disabled && element.tabIndex >= 0
    && !element.closest("[inert]") && element.checkVisibility({visibilityProperty: true});
  const controls = (box) => [...box.querySelectorAll(reach)].filter(usable);
  const onNothing = () => !document.activeElement || document.activeElement === document.body;

  const openers = new WeakMap();
  const enter = () => {
    for (const body of document.querySelectorAll('[data-testid="stPopoverBody"]')) {
      if (openers.has(body) || body.querySelector('[data-testid="stSkeleton"]')) continue;
      const opener = document.querySelector('button[aria-haspopup="dialog"][aria-expanded="true"]');
      if (!opener) continue;
      openers.set(body, opener);
      if (document.activeElement === opener || onNothing()) (controls(body)[0] || body).focus({preventScroll: true});
    }
  };
  document.addEventListener("keydown", (event) => {
    if (event.repeat && ["Enter", " "].includes(event.key) && event.target.closest("button")) event.preventDefault();
  }, true);

  const above = '[role="dialog"], [data-testid="stPopoverBody"]';
  document.documentElement.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    if (document.querySelector('[data-testid="stDialog"]') || (event.target.closest && event.target.closest(above)))
      event.stopImmediatePropagation();
  });

  const parts = '[class*="st-key-"], [data-testid="stPopoverBody"]';
  const keyOf = (box) => [...box.classList].find((one) => one.startsWith("st-key-"));
  const placesOf = (element) => {
    const places = [];
    for (let box = element.closest(parts); box; box = box.parentElement && box.parentElement.closest(parts)) {
      const name = keyOf(box);
      const inside = controls(box), at = inside.indexOf(element);
      places.push({find: () => name ? document.querySelector("." + CSS.escape(name)) : box.isConnected && box,
        before: inside.slice(0, Math.max(at, 0)).map((one) => [one, keyOf(one.closest(parts))])
          .map(([one, key]) => [one, key === name ? null : key])});
      if (openers.has(box)) return places.concat(placesOf(openers.get(box)));
    }
    return places;
  };
  let left = null;
  const remember = () => {
    const element = document.activeElement;
    if (!onNothing()) left = {element, places: placesOf(element), controls: element.getAttribute("aria-controls")};
  };
  document.addEventListener("focusin", remember);
  document.addEventListener("click", remember, true);
  window.addEventListener("pointerdown", () => { left = null; }, true);
  document.addEventListener("focusout", (event) => setTimeout(() => {
    if (left && left.element === event.target && usable(event.target) && onNothing()) left = null;
  }));
  const successor = () => {
    for (const {find, before} of left.places) {
      const box = find(), inside = box ? controls(box) : [];
      if (!inside.length) continue;
      const same = ([one, key]) => inside.findIndex((now) => now === one || (key && keyOf(now.closest(parts)) === key));
      const last = Math.max(...before.map(same), -1);
      return inside[Math.min(last + 1, inside.length - 1)];
    }
    const twins = left.controls ? document.querySelectorAll(`[aria-controls="${CSS.escape(left.controls)}"]`) : [];
    return [...twins].find(usable) || document.querySelector("h1");
  };
  const follow = () => {
    if (!left || !onNothing() || usable(left.element)) return;
    if (!document.querySelector('[data-testid="stApp"][data-test-script-state="notRunning"]')
      || document.querySelector('[data-stale="true"]')) { setTimeout(soon, 100); return; }
    const next = successor();
    left = null;
    if (!next) return;
    if (next.tagName === "H1") next.tabIndex = -1;
    next.focus();
  };

  const voices = {};
  const speak = (name, text, turn) => {
    const said = `${turn || ""}|${text}`;
    if (voices[name].dataset.said === said) return;
    voices[name].dataset.said = said;
    voices[name].replaceChildren(text);
  };
  for (const [name, role] of Object.entries({run: "status", form: "status", help: "status", refused: "alert"})) {
    voices[name] = document.body.appendChild(document.createElement("div"));
    voices[name].className = "lf-spoken";
    voices[name].setAttribute("role", role);
  }
  const tell = () => {
    for (const name of ["run", "form", "refused"]) {
      const part = document.querySelector(`[data-say="${name}"]`);
      speak(name, part ? part.textContent : "", part && part.dataset.turn);
    }
    const shown = helped && document.querySelector('[data-testid="stTooltipContent"]');
    speak("help", shown ? shown.innerText : "");
  };

  let helped = null;
  const hover = (kind) => helped.dispatchEvent(new PointerEvent(kind, {bubbles: true, pointerType: "mouse"}));
  const hide = () => { if (helped) { hover("pointerout"); helped = null; soon(); } };
  const helpOf = (element) => {
    const box = element.closest('[data-testid="stElementContainer"]');
    return box && box.querySelector('[data-testid="stTooltipHoverTarget"]');
  };
  document.addEventListener("focusin", (event) => {
    if (helpOf(event.target)) event.target.setAttribute("aria-keyshortcuts", "F1");
  });
  document.addEventListener("focusout", hide);
  window.addEventListener("keydown", (event) => {
    if (event.key === "Escape") hide();
    if (event.key !== "F1" || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const target = helpOf(event.target);
    if (!target) return;
    event.preventDefault();
    if (helped) { hide(); return; }
    helped = target;
    hover("pointerover");
  }, true);
"""
