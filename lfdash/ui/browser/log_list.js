// A list of which only what is seen is in the page. Each item is as high as its text; what was looked at stays where it
// is, whatever comes before or after it.
const HEIGHT = 18, AROUND = 12, MOST_SELECTED = 2000;

export class List {
  // box: what scrolls. draw(item): an element. moved(): called when what is seen changed.
  constructor(box, draw, moved) {
    Object.assign(this, {box, draw, moved, items: [], tops: [0], heights: new Map(), nodes: new Map(), follows: true,
      wrapped: false, last: 0, version: 0});
    this.all = box.appendChild(document.createElement("div"));
    this.all.className = "all";
    this.some = this.all.appendChild(document.createElement("div"));
    this.some.className = "some";
    box.addEventListener("scroll", () => this.scrolled(), {passive: true});
    new ResizeObserver(() => this.resized()).observe(box);
  }

  scrolled() {
    const atEnd = this.atEnd();
    if (atEnd) this.follows = true;
    else if (this.box.scrollTop < this.last - 1) this.follows = false;
    this.last = this.box.scrollTop;
    this.soon();
  }

  atEnd() { return this.box.scrollTop + this.box.clientHeight >= this.box.scrollHeight - 6; }

  resized() {
    const columns = Math.floor(this.box.clientWidth / this.charWidth());
    if (this.wrapped && columns !== this.columns) this.heights.clear();
    this.columns = columns;
    if (this.box.clientHeight) this.set(this.items);
  }

  charWidth() {
    if (!this.width) {
      const probe = this.some.appendChild(document.createElement("div"));
      probe.className = "line";
      probe.style.cssText = "position:absolute;visibility:hidden;width:max-content;padding:0;border:0";
      probe.textContent = "0".repeat(100);
      this.width = probe.getBoundingClientRect().width / 100 || 0;
      probe.remove();
    }
    return this.width || 7;
  }

  wrap(on) {
    this.wrapped = on;
    this.box.classList.toggle("wrapped", on);
    this.heights.clear();
    this.redraw();
  }

  // Draws every item anew: another text is searched for.
  redraw() {
    this.nodes.clear();
    this.some.replaceChildren();
    this.set(this.items);
  }

  // Shows other items. What is seen stays in its place, or the end is followed.
  set(items) {
    const anchor = this.follows ? null : this.anchor();
    this.items = items;
    this.measure();
    this.place(anchor);
    this.soon();
  }

  // It is in the page again, where it has forgotten how far it was scrolled.
  again() {
    const {follows, last} = this;
    this.set(this.items);
    if (!follows) { this.follows = false; this.go(last); }
  }

  measure() {
    const columns = this.columns || Math.max(20, Math.floor(this.box.clientWidth / this.charWidth()));
    this.tops = new Array(this.items.length + 1);
    let top = 0, longest = 0;
    for (let number = 0; number < this.items.length; number++) {
      this.tops[number] = top;
      const item = this.items[number], text = item.row && item.row.text;
      if (text && text.length > longest) longest = text.length;
      if (!this.wrapped || !text) top += HEIGHT;
      else top += this.heights.get(item.key) || HEIGHT * Math.max(1, Math.ceil(text.length / Math.max(10, columns - 3)));
    }
    this.tops[this.items.length] = top;
    this.all.style.height = `${top}px`;
    this.all.style.width = this.wrapped ? "" : `max(100%, ${Math.ceil((longest + 4) * this.charWidth())}px)`;
  }

  anchor() {
    const first = this.at(this.box.scrollTop), item = this.items[first];
    return item && {key: item.key, at: item.at, above: this.box.scrollTop - this.tops[first]};
  }

  place(anchor) {
    if (this.follows) this.go(this.tops[this.items.length] - this.box.clientHeight);
    else if (anchor) {
      let place = this.items.findIndex((item) => item.key === anchor.key);
      if (place < 0) place = Math.max(0, this.items.findIndex((item) => item.at >= anchor.at));
      this.go(this.tops[place] + anchor.above);
    }
  }

  go(top) {
    this.box.scrollTop = Math.max(0, top);
    this.last = this.box.scrollTop;
  }

  // Shows an item a third from the top.
  show(at) {
    const place = this.items.findIndex((item) => item.at === at && item.row && !item.more);
    if (place < 0) return false;
    this.follows = false;
    this.go(this.tops[place] - this.box.clientHeight / 3);
    this.soon();
    return true;
  }

  toEnd() {
    this.follows = true;
    this.place(null);
    this.soon();
  }

  at(top) {
    let low = 0, high = this.items.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.tops[middle] <= top) low = middle; else high = middle - 1;
    }
    return Math.max(0, low);
  }

  soon() {
    if (this.asked) return;
    this.asked = requestAnimationFrame(() => { this.asked = 0; this.paint(); });
  }

  // The first and last item that are seen, and with `around` those near them.
  seen(around = 0) {
    const top = this.box.scrollTop;
    return [Math.max(0, this.at(top) - around), Math.min(this.items.length - 1, this.at(top + this.box.clientHeight) + around)];
  }

  paint() {
    if (!this.box.isConnected || !this.box.clientHeight) return;
    let [first, last] = this.selected(...this.seen(AROUND));
    const nodes = new Map();
    for (let number = first; number <= last; number++) {
      const item = this.items[number], known = this.nodes.get(item.key);
      const same = known && known.lfItem && sameItem(known.lfItem, item);
      const node = same ? known : this.draw(item);
      node.lfItem = item;
      node.lfNumber = number;
      nodes.set(item.key, node);
    }
    this.arrange([...nodes.values()]);
    this.nodes = nodes;
    this.some.style.transform = `translateY(${this.tops[first] || 0}px)`;
    if (this.wrapped) this.remeasure(nodes);
    this.moved();
  }

  arrange(wanted) {
    const keep = new Set(wanted);
    for (const node of [...this.some.children]) if (!keep.has(node)) node.remove();
    wanted.forEach((node, place) => {
      if (this.some.children[place] !== node) this.some.insertBefore(node, this.some.children[place] || null);
    });
  }

  remeasure(nodes) {
    let changed = false;
    for (const [key, node] of nodes) {
      const height = node.offsetHeight;
      const number = node.lfNumber, taken = this.tops[number + 1] - this.tops[number];
      if (height && Math.abs(height - taken) > 0.5) { this.heights.set(key, height); changed = true; }
    }
    if (!changed) return;
    const anchor = this.follows ? null : this.anchor();
    this.measure();
    this.place(anchor);
    this.some.style.transform = `translateY(${this.tops[[...nodes.values()][0].lfNumber] || 0}px)`;
    this.soon();
  }

  // What is selected stays in the page, so that it can be copied.
  selected(first, last) {
    const root = this.box.getRootNode(), chosen = root.getSelection ? root.getSelection() : document.getSelection();
    if (!chosen || chosen.isCollapsed || !chosen.rangeCount) return [first, last];
    const ends = [chosen.anchorNode, chosen.focusNode].map((node) => this.numberOf(node)).filter((one) => one !== null);
    const from = Math.min(first, ...ends), to = Math.max(last, ...ends);
    return to - from > MOST_SELECTED ? [first, last] : [from, to];
  }

  numberOf(node) {
    while (node && node !== this.some) {
      if (node.lfItem && this.some.contains(node)) {
        const place = this.items.findIndex((item) => item.key === node.lfItem.key);
        return place < 0 ? null : place;
      }
      node = node.parentNode;
    }
    return null;
  }
}

const sameItem = (one, other) => one === other || (one.fold || one.more || !one.row ? JSON.stringify(one) === JSON.stringify(other)
  : !other.fold && !other.more && other.row && one.row.text === other.row.text && one.row.level === other.row.level && one.inside === other.inside);
