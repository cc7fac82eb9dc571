import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { Problem } from "../../static/js/api.js";
import { PathKeeper } from "../../static/js/path-keeper.js";

class Connection extends EventTarget {
  connectionState = "new";

  become(state) {
    this.connectionState = state;
    this.dispatchEvent(new Event("connectionstatechange"));
  }
}

let pc;
let restarts;
let answer; // what a restart does
let lost;
let keeper;

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout"] });
  mock.method(performance, "now", () => time);
  time = 0;
  pc = new Connection();
  restarts = 0;
  lost = [];
  answer = () => {};
  const session = {
    async restart() {
      restarts++;
      await answer();
    },
  };
  keeper = new PathKeeper(pc, session, (reason) => lost.push(reason));
});

afterEach(() => {
  keeper.close();
  mock.timers.reset();
  mock.restoreAll();
});

let time = 0;
const settle = async () => { for (let i = 0; i < 20; i++) await Promise.resolve(); };

async function pass(milliseconds) {
  for (let left = milliseconds; left > 0; left -= 100) {
    time += 100;
    mock.timers.tick(100);
    await settle();
  }
}

test("a connection that never was up is not restarted", async () => {
  assert.equal(keeper.networkChanged(), false);
  pc.become("failed");
  await pass(1000);
  assert.deepEqual([restarts, lost], [0, ["failed"]]);
});

test("what heals by itself is not restarted", async () => {
  pc.become("connected");
  pc.become("disconnected");
  await pass(400);
  pc.become("connected");
  await pass(10000);
  assert.deepEqual([restarts, lost, keeper.busy], [0, [], false]);
});

test("a path that is lost is looked for until there is one", async () => {
  pc.become("connected");
  answer = () => { throw new Problem(0, "no network"); };
  pc.become("disconnected");
  await pass(600);
  assert.deepEqual([restarts, keeper.busy], [1, true]);
  answer = () => {};
  await pass(1000);
  assert.equal(restarts, 2);
  pc.become("connected");
  await pass(10000);
  assert.deepEqual([restarts, lost, keeper.busy], [2, [], false]);
});

test("without hope, or after a while, the connection is given up", async () => {
  pc.become("connected");
  answer = () => { throw new Problem(404, "the session is over"); };
  pc.become("failed");
  await pass(100);
  assert.deepEqual([restarts, lost], [1, ["failed"]]);
});

test("a server that does not answer costs some seconds and few requests", async () => {
  pc.become("connected");
  answer = () => { throw new Problem(503, "busy", 2); };
  pc.become("failed");
  await pass(20000);
  assert.deepEqual([restarts <= 5, lost], [true, ["failed"]]);
});

test("a change of the network is followed at once, also during a wait", async () => {
  pc.become("connected");
  assert.equal(keeper.networkChanged(), true);
  await pass(100);
  assert.deepEqual([restarts, keeper.busy], [1, false]);
  answer = () => { throw new Problem(0, "no network"); };
  pc.become("failed");
  await pass(100);
  assert.equal(restarts, 2);
  answer = () => pc.become("connected");
  keeper.networkChanged();
  await pass(100);
  assert.deepEqual([restarts, lost, keeper.busy], [3, [], false]);
});
