// Every sentence of the page in both languages.

export const WORDS = {
  en: {
    picture: "Picture",
    question: "Question",
    task: "What to do",
    choose: "Choose a picture",
    drop: "Drop a picture here",
    dropHint: "or click to choose one, or paste it",
    another: "Another picture",
    noPicture: "Remove picture",
    drawHint: "Drag over the picture to ask about a place.",
    selectHint: "The text on the picture can be selected and copied.",
    examples: "Examples",
    chat: "Ask",
    ground: "Find",
    refer: "Ask about a box",
    ocr: "Read text",
    explainChat: "Ask anything about the picture, or ask without one.",
    explainGround: "The answer shows where things are. Point at a word to see its box.",
    explainRefer: "Drag a box over the picture, then ask about what is in it.",
    explainOcr: "Reads all the text in the picture, with places. You can copy it.",
    placeholderChat: "What is in this picture?",
    placeholderGround: "Where is …?",
    placeholderRefer: "What is this object?",
    send: "Ask",
    read: "Read",
    stop: "Stop",
    box: "Box",
    boxAway: "Remove the box",
    key: "This server asks for an API key",
    needPicture: "Choose a picture first.",
    needBox: "Drag a box over the picture first.",
    needText: "Write a question first.",
    noDisplay: "This browser cannot show that file as a picture. JPEG, PNG, WebP and GIF work everywhere.",
    noServer: "The server cannot be reached. Is it still running?",
    broken: "The connection broke off before the answer was complete.",
    busy: "The server is busy. Try again in {n} s.",
    copy: "Copy text",
    copied: "Copied",
    noWords: "No text was found.",
    cutLength: "The answer was cut off: it reached the length limit.",
    cutLoop: "The answer was cut off: the model began to repeat itself.",
    stopped: "Stopped.",
    sure: "confidence {n} %",
    tokens: "{n} tokens",
    seconds: "{n} s",
    show: "Show this answer's boxes",
    foot: "Runs on this server alone. Pictures are not stored. Answers can be wrong.",
  },
  ko: {
    picture: "그림",
    question: "질문",
    task: "할 일",
    choose: "그림 고르기",
    drop: "여기에 그림을 놓으세요",
    dropHint: "눌러서 고르거나 붙여 넣어도 됩니다",
    another: "다른 그림",
    noPicture: "그림 지우기",
    drawHint: "그림 위를 끌어서 상자를 그리면 그곳에 대해 물어볼 수 있습니다.",
    selectHint: "그림 위의 글자를 선택해서 복사할 수 있습니다.",
    examples: "예시",
    chat: "묻기",
    ground: "찾기",
    refer: "상자에 대해 묻기",
    ocr: "글자 읽기",
    explainChat: "그림에 대해 무엇이든 물어보세요. 그림 없이 물어도 됩니다.",
    explainGround: "어디에 있는지 함께 알려 줍니다. 단어를 가리키면 상자가 보입니다.",
    explainRefer: "그림 위를 끌어서 상자를 그린 다음, 그 안에 있는 것에 대해 물어보세요.",
    explainOcr: "그림 속 글자를 위치와 함께 모두 읽습니다. 읽은 글자는 복사할 수 있습니다.",
    placeholderChat: "이 그림에 무엇이 있나요?",
    placeholderGround: "…은(는) 어디에 있나요?",
    placeholderRefer: "이것은 무엇인가요?",
    send: "묻기",
    read: "읽기",
    stop: "멈추기",
    box: "상자",
    boxAway: "상자 지우기",
    key: "이 서버를 쓰려면 API 키가 필요합니다",
    needPicture: "먼저 그림을 골라 주세요.",
    needBox: "먼저 그림 위에 상자를 그려 주세요.",
    needText: "먼저 질문을 써 주세요.",
    noDisplay: "이 브라우저에서는 이 파일을 그림으로 볼 수 없습니다. JPEG, PNG, WebP, GIF 파일을 사용해 주세요.",
    noServer: "서버에 연결할 수 없습니다. 서버가 켜져 있는지 확인해 주세요.",
    broken: "답이 끝나기 전에 연결이 끊어졌습니다.",
    busy: "서버가 바쁩니다. {n}초 뒤에 다시 시도해 주세요.",
    copy: "텍스트 복사",
    copied: "복사했습니다",
    noWords: "글자를 찾지 못했습니다.",
    cutLength: "답이 길이 제한에 걸려 중간에 끊겼습니다.",
    cutLoop: "같은 말이 되풀이되어 답을 끊었습니다.",
    stopped: "멈췄습니다.",
    sure: "확신도 {n}%",
    tokens: "토큰 {n}개",
    seconds: "{n}초",
    show: "이 답의 상자 보기",
    foot: "이 서버 안에서만 처리하며 그림을 저장하지 않습니다. 답이 틀릴 수 있습니다.",
  },
};

const asked = new URLSearchParams(location.search).get("lang");
const kept = (() => { try { return localStorage.getItem("language"); } catch { return null; } })();
const guessed = (navigator.language || "en").toLowerCase().startsWith("ko") ? "ko" : "en";
let language = [asked, kept, guessed].find((name) => name in WORDS);

export const current = () => language;

export function say(name, n) {
  return WORDS[language][name].replace("{n}", String(n));
}

/** Choose a language and write every text of the document again. */
export function speak(name) {
  language = name;
  try { localStorage.setItem("language", name); } catch { /* private windows have no storage */ }
  document.documentElement.lang = name;
  for (const node of document.querySelectorAll("[data-text]")) node.textContent = say(node.dataset.text, node.dataset.n);
  for (const node of document.querySelectorAll("[data-label]")) node.setAttribute("aria-label", say(node.dataset.label));
  for (const node of document.querySelectorAll("[data-language]")) node.setAttribute("aria-pressed", String(node.dataset.language === name));
}
