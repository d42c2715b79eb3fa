// The picture with what lies on it: boxes, recognised words, and the box that a person draws. Places are in per cent,
// so that nothing has to be computed again when the window changes.

const COLOURS = ["#0072b2", "#d55e00", "#008c69", "#be5096", "#3c3ca0", "#965f00"];
const SMALLEST = 0.01; // of width and height: below this a drag was a click

export const colour = (number) => COLOURS[number % COLOURS.length];

export class Stage {
  constructor({ stage, frame, picture, overlay }, onBox) {
    Object.assign(this, { stage, frame, picture, overlay, onBox });
    this.box = null;
    this.reading = false;
    frame.addEventListener("pointerdown", (event) => this.#drag(event));
    new ResizeObserver(() => this.#fitWords()).observe(frame);
  }

  get shown() { return !this.frame.hidden; }

  async show(url) {
    const trial = new Image();
    trial.src = url;
    await trial.decode();
    this.picture.src = url;
    this.frame.style.setProperty("--ratio", trial.naturalWidth / trial.naturalHeight);
    this.stage.classList.remove("empty");
    this.frame.hidden = false;
    this.clear();
  }

  remove() {
    this.picture.removeAttribute("src");
    this.stage.classList.add("empty");
    this.frame.hidden = true;
    this.clear();
  }

  clear() {
    this.overlay.replaceChildren();
    this.box = null;
    this.#read(false);
  }

  #read(on) {
    this.reading = on;
    this.frame.classList.toggle("reading", on);
  }

  /** Boxes of named things: [{phrase, boxes: [{box}]}]; `onHover(number or null)` is told what is pointed at. */
  boxes(objects, onHover) {
    this.overlay.querySelectorAll(".found, .word").forEach((node) => node.remove());
    this.#read(false);
    const places = objects.flatMap((thing, number) => thing.boxes.map(({ box }) => ({ thing, number, box })));
    places.sort((a, b) => area(b.box) - area(a.box)); // small boxes lie on top and can be pointed at
    for (const { thing, number, box } of places) {
      const node = place(document.createElement("div"), box);
      node.className = box[1] < 0.08 ? "found low" : "found";
      node.dataset.thing = number;
      node.style.setProperty("--colour", colour(number));
      const label = document.createElement("span");
      label.textContent = thing.phrase;
      node.append(label);
      node.addEventListener("pointerenter", () => onHover(number));
      node.addEventListener("pointerleave", () => onHover(null));
      this.overlay.append(node);
    }
  }

  /** Recognised words as text that can be selected, each stretched to its box. */
  words(words) {
    this.overlay.querySelectorAll(".found, .word").forEach((node) => node.remove());
    this.#read(words.length > 0);
    for (const [number, word] of words.entries()) {
      const node = place(document.createElement("span"), word.box);
      node.className = "word";
      node.title = `${word.text} (${Math.round(100 * word.confidence)} %)`;
      const text = document.createElement("span");
      const last = number + 1 === words.length || words[number + 1].line !== word.line;
      text.textContent = word.text + (last ? "\n" : " ");
      node.append(text);
      this.overlay.append(node);
    }
    this.#fitWords();
  }

  light(number) {
    for (const node of this.overlay.querySelectorAll(".found")) {
      node.classList.toggle("lit", number !== null && Number(node.dataset.thing) === number);
      node.classList.toggle("dim", number !== null && Number(node.dataset.thing) !== number);
    }
  }

  setBox(box) {
    this.overlay.querySelector(".drawn")?.remove();
    this.box = box;
    if (box) {
      const node = place(document.createElement("div"), box);
      node.className = "drawn";
      this.overlay.append(node);
    }
    this.onBox(box);
  }

  #fitWords() {
    for (const node of this.overlay.querySelectorAll(".word")) {
      const text = node.firstChild;
      text.style.transform = "";
      text.style.fontSize = `${Math.max(1, 0.8 * node.clientHeight)}px`;
      const width = text.getBoundingClientRect().width;
      if (width > 0) text.style.transform = `scaleX(${node.clientWidth / width})`;
    }
  }

  #drag(event) {
    if (!this.shown || this.reading || event.button !== 0) return;
    const frame = this.frame.getBoundingClientRect();
    const at = (e) => [unit((e.clientX - frame.left) / frame.width), unit((e.clientY - frame.top) / frame.height)];
    const [x, y] = at(event);
    const rubber = document.createElement("div");
    rubber.className = "drawn";
    const box = (e) => { const [u, v] = at(e); return [Math.min(x, u), Math.min(y, v), Math.max(x, u), Math.max(y, v)]; };
    const move = (e) => { this.overlay.append(place(rubber, box(e))); e.preventDefault(); };
    const end = (e) => {
      this.frame.removeEventListener("pointermove", move);
      this.frame.removeEventListener("pointerup", end);
      this.frame.removeEventListener("pointercancel", end);
      rubber.remove();
      const made = box(e);
      if (e.type === "pointerup" && made[2] - made[0] > SMALLEST && made[3] - made[1] > SMALLEST) this.setBox(made);
    };
    this.frame.setPointerCapture(event.pointerId);
    this.frame.addEventListener("pointermove", move);
    this.frame.addEventListener("pointerup", end);
    this.frame.addEventListener("pointercancel", end);
  }
}

const unit = (value) => Math.round(1000 * Math.min(1, Math.max(0, value))) / 1000;
const area = ([x1, y1, x2, y2]) => (x2 - x1) * (y2 - y1);

function place(node, [x1, y1, x2, y2]) {
  Object.assign(node.style, { left: `${100 * x1}%`, top: `${100 * y1}%`, width: `${100 * (x2 - x1)}%`, height: `${100 * (y2 - y1)}%` });
  return node;
}
