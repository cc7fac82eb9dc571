import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { Pausing } from "../../static/js/pausing.js";

class Video extends EventTarget {
  paused = false;
  ended = false;
  srcObject = new MediaStream();
  root = { pictureInPictureElement: null };

  getRootNode() {
    return this.root;
  }

  pause() {
    this.paused = true;
    this.dispatchEvent(new Event("pause"));
  }
}

let video;
let pausing;
let told;

beforeEach(() => {
  video = new Video();
  pausing = new Pausing(video);
  told = [];
  for (const name of ["change", "return"]) pausing.addEventListener(name, () => told.push(`${name} ${pausing.by}`));
  pausing.start();
});

afterEach(() => {
  pausing.close();
  document.hidden = false;
});

function hide(hidden) {
  document.hidden = hidden;
  document.dispatchEvent(new Event("visibilitychange"));
}

test("a pause in sight is the viewer's, and ends with playing", () => {
  video.pause();
  assert.equal(pausing.by, "viewer");
  video.dispatchEvent(new Event("play"));
  assert.deepEqual(told, ["change viewer", "change "]);
});

test("a pause out of sight is the browser's, and may end in sight", () => {
  hide(true);
  video.pause();
  assert.equal(pausing.by, "browser");
  hide(false);
  assert.deepEqual(told, ["change browser", "return browser"]);
});

test("a pause just before the page goes out of sight is the browser's, too", () => {
  video.pause();
  hide(true);
  assert.equal(pausing.by, "browser");
});

test("unless the player's own controls asked for it", () => {
  pausing.hold();
  hide(true);
  hide(false);
  assert.deepEqual(told, ["change viewer"]);
  pausing.release();
  assert.equal(pausing.by, "");
});

test("picture-in-picture is in sight", () => {
  hide(true);
  video.root.pictureInPictureElement = video;
  video.pause();
  assert.equal(pausing.by, "viewer");
});

test("the end of a stream is no pause", () => {
  video.srcObject.active = false;
  video.pause();
  assert.equal(pausing.by, "");
});
