// The page: picture, question, answer. An answer's phrases and the boxes on the picture light up together.

import { Refused, answer, modelName } from "./server.js";
import { Stage, colour } from "./stage.js";
import { current, say, speak } from "./words.js";

const $ = (id) => document.getElementById(id);
const EXAMPLES = [
  { picture: "scene.png", task: "ground", ko: "빨간색 원은 어디에 있나요?", en: "Where is the red circle?" },
  { picture: "scene.png", task: "chat", ko: "물체가 몇 개 있나요?", en: "How many objects are there?" },
  { picture: "scene.png", task: "refer", box: [0.7, 0.05, 0.96, 0.37], ko: "이것은 무엇인가요?", en: "What is this object?" },
  { picture: "words.png", task: "ocr", ko: "그림 속 단어", en: "The words in a picture" },
  { picture: null, task: "chat", ko: "대한민국의 수도는 어디인가요?", en: "What is the capital of South Korea?" },
];

let image = null; // data URL of the picture that is shown
let model = "";
let running = null; // AbortController of the question under way

const stage = new Stage({ stage: $("stage"), frame: $("frame"), picture: $("picture"), overlay: $("overlay") }, boxChanged);

const task = () => document.querySelector("input[name=task]:checked").value;
const key = () => $("key").value.trim();
const capital = (word) => word[0].toUpperCase() + word.slice(1);

function refresh() {
  const name = task();
  $("explain").textContent = say(`explain${capital(name)}`);
  $("text").placeholder = name === "ocr" ? "" : say(`placeholder${capital(name)}`);
  $("text").hidden = name === "ocr";
  $("send").textContent = say(name === "ocr" ? "read" : "send");
  $("another").hidden = $("no-picture").hidden = $("hint").hidden = !stage.shown;
  $("hint").dataset.text = stage.reading ? "selectHint" : "drawHint";
  $("hint").textContent = say($("hint").dataset.text);
  $("frame").classList.toggle("drawing", name === "refer");
  $("box").hidden = !(stage.box && name === "refer");
  if (stage.box) $("box-text").textContent = `${say("box")} ${stage.box.map((v) => v.toFixed(2)).join(", ")}`;
}

function setTask(name) {
  document.querySelector(`input[name=task][value=${name}]`).checked = true;
  refresh();
}

function boxChanged(box) {
  if (box) {
    setTask("refer");
    if (matchMedia("(hover: hover)").matches) $("text").focus();
  } else refresh();
}

function complain(message) {
  $("error").textContent = message;
  $("error").hidden = !message;
}

async function usePicture(file) {
  complain("");
  const url = await new Promise((done, failed) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result);
    reader.onerror = () => failed(reader.error);
    reader.readAsDataURL(file);
  });
  try {
    await stage.show(url);
    image = url;
  } catch {
    complain(say("noDisplay"));
  }
  refresh();
}

function removePicture() {
  running?.abort();
  stage.remove();
  image = null;
  $("file").value = "";
  refresh();
}

function question() {
  const name = task(), text = $("text").value.trim();
  if (name !== "chat" && !image) throw new Refused(say("needPicture"), 400);
  if (name === "refer" && !stage.box) throw new Refused(say("needBox"), 400);
  if (name !== "ocr" && !text) throw new Refused(say("needText"), 400);
  const parts = image ? [{ type: "image_url", image_url: { url: image } }] : [];
  if (name !== "ocr") parts.push({ type: "text", text });
  const varco = name === "refer" ? { task: name, box: stage.box } : { task: name };
  return { model, messages: [{ role: "user", content: parts }], varco };
}

async function ask() {
  complain("");
  if (running) return;
  let entry = null;
  try {
    if (!model) await meet();
    const request = question();
    const began = performance.now();
    running = new AbortController();
    busy(true);
    entry = newEntry(request.varco.task === "ocr" ? say("ocr") : $("text").value.trim());
    const { found, usage } = await answer(request, key(), running.signal, (text) => { entry.said.textContent = text; });
    finish(entry, request, found, usage, (performance.now() - began) / 1000);
  } catch (error) {
    if (entry && !entry.said.textContent) entry.node.remove();
    if (error.name === "AbortError") { if (entry) note(entry, "stopped"); }
    else if (error instanceof Refused) { complain(error.message); if (error.status === 401) askKey(); }
    else throw error;
  } finally {
    entry?.node.classList.remove("writing");
    running = null;
    busy(false);
    refresh();
  }
}

function busy(on) {
  $("send").hidden = on;
  $("stop").hidden = !on;
}

function askKey() {
  $("key-line").hidden = false;
  $("key").focus();
}

function newEntry(text) {
  const node = element("li", "entry writing");
  const asked = element("p", "asked", text), said = element("p", "said");
  node.append(asked, said);
  $("answers").prepend(node);
  return { node, said };
}

function finish(entry, request, found, usage, seconds) {
  const reading = request.varco.task === "ocr";
  entry.said.replaceChildren(...(reading ? [found.text] : phrases(found)));
  if (reading && !found.words.length) note(entry, "noWords");
  if (found.stop_reason === "length") note(entry, "cutLength");
  if (found.stop_reason === "loop") note(entry, "cutLoop");
  entry.node.append(facts(found, usage, seconds));
  const shown = image;
  const show = () => {
    if (!shown || shown !== image) return;
    document.querySelectorAll(".entry.current").forEach((node) => node.classList.remove("current"));
    entry.node.classList.add("current");
    if (reading) stage.words(found.words);
    else stage.boxes(things(found), light);
    refresh();
  };
  entry.node.addEventListener("click", show);
  if (reading && found.words.length) entry.node.append(copier(found.text));
  show();
}

/** Named things with boxes, in the order of the answer; words that stand in the answer with a place count too. */
const things = (found) => found.items.filter((item) => item.boxes?.length).map((item) => ({ phrase: item.text, boxes: item.boxes }));

function phrases(found) {
  let number = 0;
  return found.items.map((item) => {
    if (!item.boxes?.length) return document.createTextNode(item.text);
    const mine = number++;
    const node = element("button", "phrase", item.text);
    node.type = "button";
    node.dataset.thing = mine;
    node.style.setProperty("--colour", colour(mine));
    for (const name of ["pointerenter", "focus"]) node.addEventListener(name, () => light(mine, node));
    for (const name of ["pointerleave", "blur"]) node.addEventListener(name, () => light(null, node));
    return node;
  });
}

function light(number, from) {
  const entry = from ? from.closest(".entry") : document.querySelector(".entry.current");
  if (from && !entry.classList.contains("current")) entry.click();
  stage.light(number);
  for (const node of entry?.querySelectorAll(".phrase") || []) {
    node.classList.toggle("lit", number !== null && Number(node.dataset.thing) === number);
  }
}

function facts(found, usage, seconds) {
  const node = element("p", "facts");
  const parts = [["seconds", seconds.toFixed(1)], ["tokens", usage?.completion_tokens ?? 0], ["sure", Math.round(100 * found.confidence)]];
  for (const [name, n] of parts) {
    const part = element("span", "", say(name, n));
    part.dataset.text = name;
    part.dataset.n = n;
    node.append(part);
  }
  return node;
}

function note(entry, name) {
  const node = element("p", "note", say(name));
  node.dataset.text = name;
  entry.node.append(node);
}

function copier(text) {
  const node = element("button", "copy", say("copy"));
  node.type = "button";
  node.dataset.text = "copy";
  node.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
    } catch { // no clipboard without https; the text gets selected instead
      getSelection().selectAllChildren(node.closest(".entry").querySelector(".said"));
      document.execCommand("copy");
    }
    node.textContent = say("copied");
    setTimeout(() => { node.textContent = say("copy"); }, 1500);
  });
  return node;
}

function element(name, kind, text = "") {
  const node = document.createElement(name);
  node.className = kind;
  node.textContent = text;
  return node;
}

function listExamples() {
  $("examples").replaceChildren(...EXAMPLES.map((example) => {
    const item = element("li", ""), button = element("button", "example");
    button.type = "button";
    if (example.picture) {
      const thumb = element("img", "");
      thumb.src = `static/examples/${example.picture}`;
      thumb.alt = "";
      button.append(thumb);
    } else button.append(element("span", "none", "Aa"));
    const label = element("span", "label");
    label.append(element("b", "", say(example.task)), element("span", "", example[current()]));
    button.append(label);
    button.addEventListener("click", () => tryExample(example));
    item.append(button);
    return item;
  }));
}

async function tryExample(example) {
  if (running) return;
  if (example.picture) await usePicture(await (await fetch(`static/examples/${example.picture}`)).blob());
  else removePicture();
  if (example.box) stage.setBox(example.box);
  setTask(example.task);
  $("text").value = example.task === "ocr" ? "" : example[current()];
  if (matchMedia("(max-width: 820px)").matches) $("form").scrollIntoView({ behavior: "smooth", block: "nearest" });
  await ask();
}

async function meet() {
  model = await modelName(key());
  $("model").textContent = model;
  $("key-line").hidden = true;
}

function listen() {
  $("form").addEventListener("submit", (event) => { event.preventDefault(); ask(); });
  $("stop").addEventListener("click", () => running?.abort());
  $("another").addEventListener("click", () => $("file").click());
  $("no-picture").addEventListener("click", removePicture);
  $("box-away").addEventListener("click", () => stage.setBox(null));
  $("file").addEventListener("change", () => { if ($("file").files[0]) usePicture($("file").files[0]); $("file").value = ""; });
  $("text").addEventListener("keydown", (event) => {
    // A Korean syllable may still be in the making when Enter confirms it.
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); ask(); }
  });
  for (const node of document.querySelectorAll("input[name=task]")) node.addEventListener("change", refresh);
  for (const node of document.querySelectorAll("[data-language]")) {
    node.addEventListener("click", () => { speak(node.dataset.language); listExamples(); refresh(); });
  }
  addEventListener("dragover", (event) => { event.preventDefault(); $("stage").classList.add("over"); });
  addEventListener("dragleave", (event) => { if (!event.relatedTarget) $("stage").classList.remove("over"); });
  addEventListener("drop", (event) => {
    event.preventDefault();
    $("stage").classList.remove("over");
    const file = [...event.dataTransfer.files].find((one) => one.type.startsWith("image/")) || event.dataTransfer.files[0];
    if (file) usePicture(file);
  });
  addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files || [])].find((one) => one.type.startsWith("image/"));
    if (file) usePicture(file);
  });
}

speak(current());
listExamples();
listen();
refresh();
meet().catch((error) => {
  if (!(error instanceof Refused)) throw error;
  complain(error.message);
  if (error.status === 401) askKey();
});
