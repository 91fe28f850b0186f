import {words} from "./counter_words.js";

export default ({data, parentElement, setTriggerValue}) => {
  let button = parentElement.querySelector("button");
  if (!button) {
    button = parentElement.appendChild(document.createElement("button"));
    button.onclick = () => setTriggerValue("asked", 7);
    window.made = (window.made || 0) + 1;
  }
  button.textContent = words + data.n;
};
