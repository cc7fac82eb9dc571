import { collection, limit, onSnapshot, orderBy, query, where } from "firebase/firestore";

const margin = 5_000; // ms beyond a lease: clocks differ, and news takes its time

// followLive calls show with the public streams that are live, newest first, now and whenever they change. It calls
// failed with an error after which nothing more comes. It returns a function that ends it.
export function followLive(db, show, failed = console.error) {
  let streams, leases, shown;

  function update() {
    if (!streams || !leases) return;
    const live = streams.filter((s) => leases.get(s.node) + margin > Date.now());
    if (live.length === shown?.length && live.every((s, i) => s === shown[i])) return;
    shown = live;
    show(live);
  }

  const isLive = query(
    collection(db, "streams"),
    where("visibility", "==", "public"),
    where("status", "in", ["live", "interrupted"]),
    orderBy("startedAt", "desc"),
    limit(50),
  );
  const stops = [
    onSnapshot(isLive, (found) => {
      streams = found.docs.map((d) => ({ name: d.id, ...d.data() }));
      update();
    }, failed),
    onSnapshot(query(collection(db, "nodes"), limit(50)), (found) => {
      leases = new Map(found.docs.map((d) => [d.id, d.get("leaseUntil")?.toMillis()]));
      update();
    }, failed),
  ];
  const tick = setInterval(update, 1_000); // a lease that runs out is no change of any document
  return () => {
    clearInterval(tick);
    stops.forEach((stop) => stop());
  };
}
