// Calls a Flow over gRPC, knowing nothing of it but what reflection tells; prints what came back as JSON.
import grpc from "@grpc/grpc-js";
import { GrpcReflection } from "grpc-js-reflection-client";

const [address, version] = process.argv.slice(2);
const insecure = grpc.credentials.createInsecure();
const reflection = new GrpcReflection(address, insecure, {}, version);

async function service(name) {
  const described = await reflection.getDescriptorBySymbol(name);
  const root = described.getPackageObject({ keepCase: true, longs: Number, enums: String });
  const Client = name.split(".").reduce((inside, part) => inside[part], root);
  return new Client(address, insecure);
}

function call(client, method, request) {
  return new Promise((resolve, reject) =>
    client[method](request, (error, answer) => (error ? reject(error) : resolve(answer))),
  );
}

const methods = {};
for (const name of await reflection.listServices())
  methods[name] = (await reflection.listMethods(name)).map((method) => method.name);

const flow = await service("dure.v1.Flow");
const documents = { rows: 1, id: ["a"], text: ["many hands"] };
const reply = await call(flow, "Post", { endpoint: "/encode", documents, parameters_json: '{"factor": 2}' });

const models = await service("inference.GRPCInferenceService");
const contents = { bytes_contents: [Buffer.from("many hands")] };
const parameters = [{ key: "factor", value: { double_param: 2 } }]; // protobufjs makes no maps of what is described
const inputs = [{ name: "text", datatype: "BYTES", shape: [1], contents }];
const inferred = await call(models, "ModelInfer", { model_name: "encode", inputs, parameters });
const { config } = await call(models, "ModelConfig", { name: "encode" });

console.log(
  JSON.stringify({
    methods,
    text: reply.documents.text,
    embedding: reply.documents.embedding.data.toString("hex"),
    outputs: inferred.outputs.map((output) => output.name),
    raw: inferred.raw_output_contents.at(-1).toString("hex"),
    platform: config.platform,
    type: config.input.find((input) => input.name === "text").data_type,
  }),
);
