import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  addDoc, collection, collectionGroup, deleteDoc, doc, getCountFromServer, getDoc, getDocs, limit, onSnapshot, orderBy,
  query, runTransaction, setDoc, updateDoc, where, writeBatch,
} from "firebase/firestore";
import { client, newProject, seed } from "./emulator.js";

const text = (stringValue) => ({ stringValue });
const number = (n) => ({ integerValue: String(n) });
const time = (at) => ({ timestampValue: at.toISOString() });

// It makes no difference who the visitor is: neither an account nor a claim gets round the server.
const visitors = {
  "a visitor": undefined,
  "an account": { sub: "alice" },
  "the owner of the streams": { sub: "owner" },
  "an admin": { sub: "root", admin: true },
};

const project = await newProject();

before(async () => {
  const now = new Date();
  const leaseUntil = time(new Date(now.getTime() + 15000));
  await seed(project, "nodes/eins", { url: text("https://eins.example"), leaseUntil });
  await seed(project, "neighbours/eins", { url: text("https://eins.example"), leaseUntil });
  for (const [name, visibility] of [["cats", "public"], ["dogs", "public"], ["family", "private"]]) {
    await seed(project, `rights/${name}`, { owner: text("firebase:owner"), keyGeneration: number(3) });
    await seed(project, `streams/${name}`, {
      title: text(name), visibility: text(visibility), rights: text("random"), status: text("live"), node: text("eins"),
      startedAt: time(now), viewers: number(1),
    });
    await seed(project, `streams/${name}/viewers/v1`, {
      node: text("eins"), joinedAt: time(now), path: text("direct"),
    });
    await seed(project, `streams/${name}/broadcasts/b1`, { node: text("eins"), startedAt: time(now) });
    await seed(project, `streams/${name}/nodes/eins`, { viewers: number(1) });
  }
  await seed(project, "streams/odd", { title: text("no visibility") });
  await seed(project, "streams/deleted", {
    title: text(""), visibility: text("private"), removed: { booleanValue: true }, rights: text("random"),
  });
  await seed(project, "streams/odd/viewers/v1", { node: text("eins") });
  await seed(project, "other/one", { visibility: text("public") });
});

// denied wants a refusal by the rules, and no other error.
async function denied(what) {
  await assert.rejects(what, (err) => {
    assert.equal(err.code, "permission-denied", err.message);
    return true;
  });
}

// heard is what a listener first gets from the server: before that, the SDK tells what it knows from other listeners.
function heard(what) {
  return new Promise((resolve, reject) => {
    const stop = onSnapshot(what, { includeMetadataChanges: true }, (snap) => {
      if (snap.metadata.fromCache) return;
      stop();
      resolve(snap);
    }, reject);
  });
}

const names = (snap) => snap.docs.map((d) => d.id);

for (const [who, user] of Object.entries(visitors)) {
  describe(who, () => {
    const { db, close } = client(project, user);
    after(close);
    const streams = collection(db, "streams");
    const isPublic = where("visibility", "==", "public");

    test("reads a public stream", async () => {
      assert.equal((await getDoc(doc(db, "streams/cats"))).data().title, "cats");
      assert.equal((await heard(doc(db, "streams/cats"))).data().title, "cats");
    });

    test("lists public streams, at most 50 at once", async () => {
      assert.deepEqual(names(await getDocs(query(streams, isPublic, limit(50)))), ["cats", "dogs"]);
      assert.deepEqual(names(await heard(query(streams, isPublic, limit(50)))), ["cats", "dogs"]);
      const newest = query(streams, isPublic, orderBy("startedAt", "desc"), limit(1));
      assert.deepEqual(names(await getDocs(newest)), ["dogs"]);
      await denied(getDocs(query(streams, isPublic, limit(51))));
      await denied(getDocs(query(streams, isPublic)));
      await denied(heard(query(streams, isPublic, limit(51))));
    });

    test("does not list without asking for public ones only", async () => {
      await denied(getDocs(query(streams, limit(10))));
      await denied(getDocs(query(streams, where("visibility", "==", "private"), limit(10))));
      await denied(getDocs(query(streams, where("visibility", "in", ["public", "private"]), limit(10))));
      await denied(getDocs(query(streams, where("title", "==", "cats"), limit(10))));
      await denied(getDocs(query(streams, where("owner", "==", "firebase:owner"), limit(10))));
      await denied(heard(query(streams, limit(10))));
    });

    test("does not count without a limit", async () => {
      await denied(getCountFromServer(query(streams, isPublic)));
    });

    test("cannot tell a private stream from none", async () => {
      for (const name of ["family", "odd", "deleted", "unheard-of"]) {
        await denied(getDoc(doc(db, "streams", name)));
        await denied(heard(doc(db, "streams", name)));
        for (const below of ["viewers", "broadcasts"]) {
          await denied(getDocs(query(collection(db, "streams", name, below), limit(1))));
          await denied(getDoc(doc(db, "streams", name, below, "v1")));
          await denied(heard(query(collection(db, "streams", name, below), limit(1))));
        }
      }
    });

    for (const [below, id] of [["viewers", "v1"], ["broadcasts", "b1"]]) {
      test(`reads ${below} of a public stream, at most 50 at once`, async () => {
        const all = collection(db, "streams/cats", below);
        assert.deepEqual(names(await getDocs(query(all, limit(50)))), [id]);
        assert.deepEqual(names(await heard(query(all, limit(50)))), [id]);
        assert.ok((await getDoc(doc(all, id))).exists());
        await denied(getDocs(query(all, limit(51))));
        await denied(getDocs(all));
      });

      test(`does not read ${below} of all streams`, async () => {
        await denied(getDocs(query(collectionGroup(db, below), limit(1))));
        await denied(heard(query(collectionGroup(db, below), limit(1))));
      });
    }

    test("reads nodes, at most 50 at once", async () => {
      const nodes = collection(db, "nodes");
      assert.deepEqual(names(await getDocs(query(nodes, limit(50)))), ["eins"]);
      assert.deepEqual(names(await heard(query(nodes, limit(50)))), ["eins"]);
      assert.ok((await getDoc(doc(nodes, "eins"))).exists());
      assert.ok(!(await getDoc(doc(nodes, "zwei"))).exists());
      await denied(getDocs(nodes));
      await denied(getDocs(query(nodes, limit(51))));
    });

    test("reads nothing that servers say to each other", async () => {
      const neighbours = collection(db, "neighbours");
      await denied(getDoc(doc(neighbours, "eins")));
      await denied(getDocs(query(neighbours, limit(1))));
      await denied(heard(query(neighbours, limit(1))));
    });

    test("reads no rights", async () => {
      const rights = collection(db, "rights");
      for (const name of ["cats", "family", "unheard-of"]) {
        await denied(getDoc(doc(rights, name)));
        await denied(heard(doc(rights, name)));
      }
      for (const some of [
        query(rights), query(rights, limit(1)), query(rights, isPublic, limit(1)),
        query(rights, where("owner", "==", "firebase:owner"), limit(1)), query(collectionGroup(db, "rights"), limit(1)),
      ]) {
        await denied(getDocs(some));
        await denied(heard(some));
        await denied(getCountFromServer(some));
      }
      const asked = query(streams, isPublic, where("owner", "==", "firebase:owner"), limit(50));
      assert.deepEqual(names(await getDocs(asked)), []);
      for (const d of (await getDocs(query(streams, isPublic, limit(50)))).docs) {
        assert.ok(!("owner" in d.data()) && !("keyGeneration" in d.data()));
      }
    });

    test("reads nothing else", async () => {
      await denied(getDoc(doc(db, "other/one")));
      await denied(getDocs(query(collection(db, "other"), where("visibility", "==", "public"), limit(1))));
      await denied(getDocs(query(collectionGroup(db, "nodes"), limit(1))));
      await denied(getDoc(doc(db, "streams/cats/other/one")));
    });

    for (const path of [
      "nodes/eins", "streams/cats", "streams/family", "streams/cats/viewers/v1", "streams/cats/broadcasts/b1",
      "streams/cats/nodes/eins", "neighbours/eins", "rights/cats", "rights/new", "other/one",
    ]) {
      test(`does not write ${path}`, async () => {
        const ref = doc(db, path);
        await denied(setDoc(ref, { visibility: "public" }));
        await denied(setDoc(ref, { visibility: "public" }, { merge: true }));
        await denied(updateDoc(ref, { viewers: 1000 }));
        await denied(deleteDoc(ref));
        await denied(addDoc(ref.parent, { visibility: "public", owner: "firebase:alice" }));
        await denied(writeBatch(db).update(ref, { viewers: 1000 }).commit());
        await denied(runTransaction(db, async (tx) => tx.set(ref, { visibility: "public" })));
      });
    }
  });
}
