// Calls a Flow through the client that was made of its OpenAPI document; prints what came back as JSON.
import createClient from "openapi-fetch";
import WebSocket from "ws";
import type { components, paths } from "./schema.d.ts";

type Answer = components["schemas"]["Answer"];

const address = process.argv[2]!;
const client = createClient<paths>({ baseUrl: `http://${address}` });

async function answer(): Promise<Answer | undefined> {
  const { data } = await client.POST("/encode", {
    body: { data: [{ id: "a", text: "many hands" }, "one job"], parameters: { factor: 2 }, explain: false },
  });
  return data;
}

async function failure(): Promise<[number, string | undefined]> {
  // @ts-expect-error: the document says that this is no number
  const { error, response } = await client.POST("/encode", { body: { data: ["a"], parameters: { factor: "much" } } });
  return [response.status, error?.error.code];
}

async function events(): Promise<[string, string[]][]> {
  const { data } = await client.POST("/words", {
    body: { data: ["many hands"] },
    headers: { Accept: "text/event-stream" },
    parseAs: "stream",
  });
  let text = "";
  for await (const piece of data!.pipeThrough(new TextDecoderStream())) text += piece;
  return text
    .trimEnd()
    .split("\n\n")
    .map((event) => {
      const [name, value] = event.split("\n").map((line) => line.slice(line.indexOf(" ") + 1));
      const told = JSON.parse(value!) as Answer;
      return [name!, told.data.map((document) => document.text ?? "")];
    });
}

function socket(): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const opened = new WebSocket(`ws://${address}/`);
    opened.on("error", reject);
    opened.on("open", () => opened.send(JSON.stringify({ id: 7, endpoint: "/encode", data: ["웹"] })));
    opened.on("message", (told) => {
      resolve(JSON.parse(told.toString()));
      opened.close();
    });
  });
}

const ready = (await client.GET("/health/ready")).response.status;
console.log(
  JSON.stringify({
    ready,
    answer: await answer(),
    failure: await failure(),
    events: await events(),
    socket: await socket(),
  }),
);
