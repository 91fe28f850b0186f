"""The tab's title, and alerts as notifications of the browser: JavaScript, which `page_script` puts into its own."""

from __future__ import annotations

# The title is what a part of the page says of the run that it shows (`data-title`); Streamlit puts its own back with
# each drawing.
# Alerts that the browser may show stand in a part of the page (`data-alerts`). Of several tabs one shows them: what was
# shown last is remembered for all. What is older than the first look of this browser is nothing new. The browser is
# asked for its permission by a click on the button only.
ALERTS = """
  const colour = () => {  // dialogs stand beside the page's own part, whose colours are the browser's or chosen
    const app = document.querySelector('[data-testid="stApp"]');
    const scheme = app ? getComputedStyle(app).colorScheme : "";
    const root = document.documentElement;
    if (scheme && root.style.colorScheme !== scheme) root.style.colorScheme = scheme;
  };
  const retitle = () => {
    const part = document.querySelector("[data-title]");
    const words = part && part.dataset.title;
    if (words && document.title !== words) document.title = words;
  };
  new MutationObserver(soon).observe(document.head, {childList: true, subtree: true, characterData: true});

  const permission = () => ("Notification" in window && window.isSecureContext) ? Notification.permission
    : "unsupported";
  if (navigator.permissions && navigator.permissions.query)  // it may be changed while the page is open
    navigator.permissions.query({name: "notifications"}).then((now) => { now.onchange = soon; }, () => {});
  const shown = "lfdash.alerts";
  const newest = () => Number(localStorage.getItem(shown)) || 0;
  let seen = null;
  const notify = () => {
    for (const part of document.querySelectorAll("[data-permission]")) {
      const words = part.dataset[permission()];
      if (part.textContent !== words) part.textContent = words;
      for (const button of document.querySelectorAll(".st-key-alerts_allow button")) {
        const off = permission() !== "default";  // only then does the browser ask
        if (button.disabled !== off) button.disabled = off;
        if (button.title !== (off ? words : "")) button.title = off ? words : "";
      }
    }
    const part = document.querySelector("[data-alerts]");
    if (!part || part.dataset.alerts === seen) return;
    seen = part.dataset.alerts;
    const alerts = JSON.parse(seen);
    const last = Math.max(0, ...alerts.map((one) => one.time));
    const before = newest();
    try { localStorage.setItem(shown, Math.max(before, last, before ? 0 : Date.now() / 1000)); } catch { return; }
    if (!before || permission() !== "granted") return;
    for (const one of alerts)
      if (one.time > before) try { new Notification(one.title, {body: one.body, tag: one.id}); } catch { return; }
  };
  document.addEventListener("click", (event) => {
    if (!event.target.closest || !event.target.closest(".st-key-alerts_allow button")) return;
    if (permission() === "default") Notification.requestPermission().then(soon);
  }, true);
"""
