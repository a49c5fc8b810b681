// Serves the files of its folder on a port of the system's choice, which it prints: node serve.mjs

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

const folder = dirname(fileURLToPath(import.meta.url));
const FILES = { "/": ["index.html", "text/html"], "/spa.js": ["spa.js", "text/javascript"], "/proof.js": ["proof.js", "text/javascript"] };

const server = createServer(async (request, response) => {
  const [file, type] = FILES[new URL(request.url, "http://localhost").pathname] ?? [];
  response.writeHead(file ? 200 : 404, { "Content-Type": `${type ?? "text/plain"};charset=UTF-8`, "Cache-Control": "no-store" });
  response.end(file ? await readFile(`${folder}/${file}`) : "");
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
