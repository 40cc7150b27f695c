"""An ASGI function on uvicorn, without a framework: the least that HTTP and JSON cost. No peer but a bound."""

from typing import Any

import orjson
import uvicorn

import lifeline
from peers.job import Job, answer, texts_of

JOB = Job.asked()
ENCODE = JOB.encoder()


async def app(_scope: Any, receive: Any, send: Any) -> None:
    message = await receive()
    body = message["body"]
    while message["more_body"]:
        message = await receive()
        body += message["body"]
    content = answer(ENCODE(texts_of(orjson.loads(body))))
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


if __name__ == "__main__":
    lifeline.terminate_when_alone()
    uvicorn.run(app, host="127.0.0.1", port=JOB.port, log_level="warning", access_log=False, lifespan="off")
