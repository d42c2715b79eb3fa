// Talking to the server: the model's name, and an answer as it is written.

import { say } from "./words.js";

export class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

const headers = (key) => ({ "content-type": "application/json", ...(key ? { authorization: `Bearer ${key}` } : {}) });

async function checked(response) {
  if (response.ok) return response;
  const body = await response.json().catch(() => null);
  if (response.status === 429) throw new Refused(say("busy", response.headers.get("retry-after") || 1), 429);
  throw new Refused(body?.error?.message || `HTTP ${response.status}`, response.status);
}

async function reached(request) {
  try {
    return await request;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(say("noServer"), 0);
  }
}

/** The name of the model that answers. */
export async function modelName(key) {
  const response = await checked(await reached(fetch("v1/models", { headers: headers(key) })));
  return (await response.json()).data[0].id;
}

/** Send a request; `onText` gets the answer so far. Returns the extra field with boxes and words, and the usage. */
export async function answer(request, key, signal, onText) {
  const body = JSON.stringify({ ...request, stream: true, stream_options: { include_usage: true } });
  const sent = reached(fetch("v1/chat/completions", { method: "POST", headers: headers(key), body, signal }));
  const response = await checked(await sent);
  let text = "", found = null, usage = null, complete = false;
  for await (const event of events(response.body)) {
    if (event === "[DONE]") { complete = true; break; }
    const data = JSON.parse(event);
    if (data.error) throw new Refused(data.error.message, 500);
    usage = data.usage || usage;
    const choice = data.choices[0];
    if (!choice) continue;
    if (choice.delta.content) onText((text += choice.delta.content));
    found = choice.delta.varco || found;
  }
  if (!complete || !found) throw new Refused(say("broken"), 0);
  return { found, usage };
}

async function* events(stream) {
  const reader = stream.getReader(), decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read().catch((error) => {
      if (error.name === "AbortError") throw error;
      throw new Refused(say("broken"), 0);
    });
    if (done) return;
    rest += decoder.decode(value, { stream: true });
    const parts = rest.split("\n\n");
    rest = parts.pop();
    for (const part of parts) if (part.startsWith("data: ")) yield part.slice(6);
  }
}
