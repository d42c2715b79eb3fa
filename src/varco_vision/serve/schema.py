"""The request of chat completions as OpenAI defines it, so far as this server understands it, plus one field, `varco`.

What would change the answer but is not understood is refused by name; nothing is ignored in silence except fields that
concern only the sender's bookkeeping (`user`, `metadata`, `store`, ...).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from varco_vision.serve.faults import ApiError, bad

Unit = Annotated[float, Field(ge=0, le=1)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class TextPart(Strict):
    type: Literal["text"]
    text: str


class ImageUrl(Strict):
    """`url`: data:image/...;base64,... or, where the server allows its host, an http(s) address."""

    url: str = Field(min_length=1)
    detail: Literal["auto", "low", "high"] = Field("auto", description="low: one view of the picture, few tokens.")


class ImagePart(Strict):
    type: Literal["image_url"]
    image_url: ImageUrl


Part = Annotated[TextPart | ImagePart, Field(discriminator="type")]


class Message(BaseModel):
    """One turn. Fields that answers of this server carry (`varco`, `refusal`) may come back with them."""

    model_config = ConfigDict(extra="ignore", strict=True)

    role: Literal["system", "developer", "user", "assistant"]
    content: str | Annotated[list[Part], Field(min_length=1)]
    varco: dict[str, Any] | None = Field(None, description="The field of an earlier answer; its `raw` has the boxes.")


class JsonSchema(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    name: str = "answer"
    body: dict[str, Any] = Field(alias="schema", description="A JSON schema.")
    strict: bool | None = None
    description: str | None = None


class ResponseFormat(Strict):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class StreamOptions(Strict):
    include_usage: bool = False
    include_obfuscation: bool | None = None


class Varco(Strict):
    """What OpenAI's form has no place for.

    task: "ground" answers with boxes, "ocr" reads the picture, "refer" asks about `box`; "chat" takes the text as it is.
    box, phrase: for "refer", relative corners x1, y1, x2, y2 of the picture and what to call the thing in it.
    markup: false makes markers such as <gro> in user texts plain characters.
    content: "raw" gives the answer's content with its markers and boxes, "text" what people read.
    """

    task: Literal["chat", "ground", "refer", "ocr"] = "chat"
    box: Annotated[list[Unit], Field(min_length=4, max_length=4)] | None = None
    phrase: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    markup: bool = True
    content: Literal["text", "raw"] = "text"


class ChatRequest(Strict):
    model: Annotated[str, Field(min_length=1, max_length=300)]
    messages: Annotated[list[Message], Field(min_length=1)]
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = Field(None, description="Left out: 0, the likeliest.")
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0)] | None = Field(None, description="Not of OpenAI: only the k likeliest tokens.")
    repetition_penalty: Annotated[float, Field(gt=0, le=10)] | None = Field(None, description="Not of OpenAI.")
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    n: Annotated[int, Field(ge=1)] | None = None
    stop: str | Annotated[list[str], Field(max_length=4)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    response_format: ResponseFormat | None = None
    presence_penalty: Annotated[float, Field(ge=0, le=0)] | None = Field(None, description="Only 0.")
    frequency_penalty: Annotated[float, Field(ge=0, le=0)] | None = Field(None, description="Only 0.")
    varco: Varco = Field(default_factory=Varco)
    user: str | None = None
    metadata: dict[str, Any] | None = None
    store: bool | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None


def read(body: bytes) -> ChatRequest:
    """The request of a body. Raises `ApiError` (400) that names the first thing that is wrong."""
    try:
        return ChatRequest.model_validate_json(body)
    except ValidationError as error:
        raise _told(error) from error


def _told(error: ValidationError) -> ApiError:
    """The deepest complaint: where content may be a text or parts, it is about the form that was meant."""
    first = max(error.errors(include_url=False, include_context=False), key=lambda found: len(found["loc"]))
    kind, told, place = first["type"], str(first["msg"]), _place(first["loc"])[:200]
    if kind == "json_invalid":
        return bad(f"the body is not JSON: {told.removeprefix('Invalid JSON: ')}", code="invalid_json")
    if kind == "extra_forbidden":
        return bad(f"the parameter {place!r} is not supported by this server", place, "unsupported_parameter")
    return bad(f"{place or 'the body'}: {told[:300]}", place or None)


def _place(parts: Sequence[int | str]) -> str:
    """`messages.0.content.1.image_url.url`: the path without pydantic's names for the members of a union."""
    kept: list[str] = []
    tagged = -1
    for number, part in enumerate(parts):
        if isinstance(part, str) and "[" in part:
            tagged = number + 2  # after it: the index, then the tag
        elif number != tagged and part != "str":
            kept.append(str(part))
    return ".".join(kept)


def inline_schema() -> dict[str, Any]:
    """The JSON schema of a request without references, for the OpenAPI page."""
    schema = ChatRequest.model_json_schema(by_alias=True)
    known = schema.pop("$defs", {})

    def resolved(node: Any) -> Any:
        if isinstance(node, list):
            return [resolved(item) for item in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            rest = {k: v for k, v in node.items() if k != "$ref"}
            return resolved(known[node["$ref"].rsplit("/", 1)[1]]) | resolved(rest)
        return {k: resolved(v) for k, v in node.items() if k != "discriminator"}

    return resolved(schema)
