// The log's look, in Streamlit's colours.
export const STYLE = `
:host {display: block}
* {box-sizing: border-box}
.log {display: flex; flex-direction: column; border: 1px solid var(--st-border-color); border-radius: .5rem;
  overflow: hidden; color: var(--st-text-color); background: var(--st-background-color); font-family: var(--st-font);
  position: relative; height: 20rem; min-height: 9rem; resize: vertical}
.bar {display: flex; flex-wrap: wrap; align-items: center; gap: .3rem .5rem; padding: .3rem 2.9rem .3rem .4rem;
  border-bottom: 1px solid var(--st-border-color); background: var(--st-secondary-background-color); font-size: .82rem}
.bar button, .end, .bar input {font: inherit; color: inherit; background: var(--st-background-color);
  border: 1px solid var(--st-border-color); border-radius: .35rem; padding: .12rem .5rem; min-height: 1.65rem}
.bar button, .end {cursor: pointer; white-space: nowrap}
.bar button:hover:not(:disabled), .end:hover {border-color: var(--st-primary-color)}
.bar button:disabled {opacity: .45; cursor: default}
.bar button[aria-pressed="true"] {border-color: var(--st-primary-color); font-weight: 600;
  background: color-mix(in srgb, var(--st-primary-color) 16%, var(--st-background-color))}
:is(button, input, .lines):focus-visible {outline: 2px solid var(--st-primary-color); outline-offset: -2px}
.bar input {width: 13rem; flex: 0 1 13rem; min-width: 7rem; cursor: text}
.bar input::placeholder {color: inherit; opacity: .65}
.group {display: flex; gap: 0}
.group button {border-radius: 0; margin-left: -1px}
.group button:first-child {border-radius: .35rem 0 0 .35rem; margin-left: 0}
.group button:last-child {border-radius: 0 .35rem .35rem 0}
.group button[aria-pressed="true"] {position: relative; z-index: 1}
.found {min-width: 5.5rem; font-variant-numeric: tabular-nums; opacity: .85; white-space: nowrap}
.space {flex: 1 1 0}
.where {font-variant-numeric: tabular-nums; opacity: .75; font-size: .76rem; white-space: nowrap}
.lines {flex: 1 1 auto; min-height: 0; overflow: auto; overflow-anchor: none; overscroll-behavior: auto; position: relative;
  font-family: var(--st-code-font, monospace); font-size: .76rem; line-height: 1.125rem; tab-size: 8}
.all {position: relative; min-width: 100%; width: max-content}
.wrapped .all {width: 100%}
.some {position: absolute; left: 0; top: 0; min-width: 100%}
.wrapped .some {width: 100%}
.line {padding: 0 .6rem 0 .5rem; border-left: 3px solid transparent; white-space: pre; unicode-bidi: isolate; direction: ltr;
  min-height: 1.125rem; overflow: hidden; text-align: left}
.wrapped .line {white-space: pre-wrap; overflow-wrap: anywhere; word-break: break-all}
.line.l1 {border-left-color: var(--st-orange-color); color: var(--st-orange-text-color)}
.line.l2 {border-left-color: var(--st-red-color); color: var(--st-red-text-color)}
.line.inside {opacity: .8}
.line.here {background: color-mix(in srgb, var(--st-primary-color) 18%, transparent)}
.line i {font-style: normal; opacity: .7; user-select: none}
mark {background: var(--st-yellow-background-color, #fe6); color: inherit; outline: 1px solid var(--st-yellow-color, #c90)}
.fold {display: block; font: inherit; color: inherit; opacity: .8; background: none; border: 0; border-left: 3px solid transparent;
  padding: 0 .5rem; cursor: pointer; user-select: none; white-space: pre; height: 1.125rem; text-align: left}
.fold:hover {color: var(--st-primary-color); opacity: 1}
.note {padding: .4rem .6rem; opacity: .8; font-family: var(--st-font); font-size: .82rem}
.end {position: absolute; right: 1.3rem; bottom: .8rem; font-size: .8rem; box-shadow: 0 1px 6px rgba(0,0,0,.3)}
[hidden] {display: none !important}
`;
