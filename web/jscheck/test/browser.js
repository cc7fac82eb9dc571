// The little of a browser that the modules under test need in Node. It is loaded before each test file.

class MediaStream {
  active = true;
}

globalThis.document ??= Object.assign(new EventTarget(), {
  hidden: false,
  documentElement: { lang: "en" },
  querySelector: () => null,
  querySelectorAll: () => [],
});
globalThis.MediaStream ??= MediaStream;
globalThis.navigator ??= { userAgent: "Node" };
globalThis.location ??= new URL("https://live.example/studio");
