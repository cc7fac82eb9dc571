// What the tests need of the emulator besides the Firebase SDK. They run in a project of their own, with our rules.
import { readFile } from "node:fs/promises";
import { deleteApp, initializeApp } from "firebase/app";
import { connectFirestoreEmulator, getFirestore, setLogLevel } from "firebase/firestore";

setLogLevel("silent"); // refusals are what many tests want

const address = process.env.FIRESTORE_EMULATOR_HOST;
if (!address) {
  throw new Error("FIRESTORE_EMULATOR_HOST must say where the emulator is; 'go test ./listing/rulestest' starts one");
}

export const rulesFile = new URL("../../firestore.rules", import.meta.url);

// newProject has our rules and no documents.
export async function newProject() {
  const project = `demo-${crypto.randomUUID()}`;
  await useRules(project);
  return project;
}

// useRules gives a project of the emulator our rules.
export async function useRules(project) {
  const content = await readFile(rulesFile, "utf8");
  const rules = { rules: { files: [{ name: "firestore.rules", content }] } };
  await call("PUT", `/emulator/v1/projects/${project}:securityRules`, rules);
}

// seed writes a document as a server does, whom the rules do not bind. Fields are in the form of the REST API.
export async function seed(project, path, fields) {
  await call("PATCH", `/v1/projects/${project}/databases/(default)/documents/${path}`, { fields });
}

async function call(method, path, body) {
  const res = await fetch(`http://${address}${path}`, {
    method,
    headers: { Authorization: "Bearer owner", "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!res.ok) throw new Error(`${method} ${path}: ${res.status} ${await res.text()}`);
}

// client is an app as anyone may write one, signed in when user is given. close ends it.
export function client(project, user) {
  const app = initializeApp({ projectId: project }, crypto.randomUUID());
  const db = getFirestore(app);
  const [host, port] = address.split(":");
  connectFirestoreEmulator(db, host, Number(port), user && { mockUserToken: user });
  return { db, close: () => deleteApp(app) };
}
