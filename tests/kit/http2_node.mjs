// A vendor as Node's http2 sees it: `node http2_node.mjs PORT CERTIFICATE OPTIONS`.
// What a path asks for is done; how often each was asked is counted, and told at /counts.
import fs from "node:fs";
import http2 from "node:http2";

const [port, file, json] = process.argv.slice(2);
const { settings, goawayEvery, maxSessionMemory } = JSON.parse(json);
const pem = fs.readFileSync(file);
const server = http2.createSecureServer({ key: pem, cert: pem, settings, maxSessionMemory });
const counts = new Map();
let asked = 0;

server.on("sessionError", () => {});
server.on("stream", (stream, headers) => {
  const [, what, detail] = headers[":path"].split("/");
  const chunks = [];
  stream.on("error", () => {});
  stream.on("data", (chunk) => chunks.push(chunk));
  stream.on("end", () => {
    const body = Buffer.concat(chunks);
    if (what === "counts") {
      const most = Math.max(0, ...counts.values());
      stream.respond({ ":status": 200 });
      stream.end(JSON.stringify({ asked, different: counts.size, most }));
      return;
    }
    asked += 1;
    counts.set(headers[":path"], (counts.get(headers[":path"]) ?? 0) + 1);
    act(stream, what, Number(detail), body);
    if (goawayEvery && asked % goawayEvery === 0) stream.session.close();
  });
});

function act(stream, what, detail, body) {
  switch (what) {
    case "echo":
      stream.respond({ ":status": 200 });
      stream.end(body);
      break;
    case "status":
      stream.respond({ ":status": detail, "content-type": "application/json" });
      stream.end(JSON.stringify({ reason: `R${detail}` }));
      break;
    case "empty":
      stream.respond({ ":status": detail }, { endStream: true });
      break;
    case "early":
      stream.additionalHeaders({ ":status": 103, link: "</a>" });
      stream.respond({ ":status": detail });
      stream.end();
      break;
    case "trailers":
      stream.respond({ ":status": 200 }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "x-checksum": "1" }));
      stream.end(body);
      break;
    case "large":
      stream.respond({ ":status": 500 });
      stream.end(Buffer.alloc(detail, "x"));
      break;
    case "reset":
      stream.close(detail);
      break;
    case "hang":
      break;
    case "destroy":
      stream.session.destroy();
      break;
    default:
      throw new Error(`nothing is known of ${what}`);
  }
}

server.listen(Number(port), "127.0.0.1");
