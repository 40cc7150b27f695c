"""FastAPI as somebody who knows it writes it: an async endpoint, orjson both ways, no pydantic, no isolation."""

import orjson
import uvicorn
from fastapi import FastAPI, Request, Response  # type: ignore[import-not-found]

import lifeline
from peers.job import Job, answer, texts_of

JOB = Job.asked()
ENCODE = JOB.encoder()
app = FastAPI()


@app.post("/encode")  # type: ignore[untyped-decorator]
async def encode(request: Request) -> Response:
    texts = texts_of(orjson.loads(await request.body()))
    return Response(answer(ENCODE(texts)), media_type="application/json")


if __name__ == "__main__":
    lifeline.terminate_when_alone()
    uvicorn.run(app, host="127.0.0.1", port=JOB.port, log_level="warning", access_log=False)
