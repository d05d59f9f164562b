// Clients with Rust crypto, as web clients use it: sign up, cross-sign, keep secrets on the server, talk both ways
// in an encrypted room, come back as a new device that reads the history from the key backup; then what the server
// works out for clients: threads, edits, reactions, unread counts, receipts, profile fields, spaces. Prints one
// line of JSON with what was seen.
//
//     node encrypted_chat.mjs BASE_URL

import { webcrypto } from "node:crypto";

import * as sdk from "matrix-js-sdk";
import { logger } from "matrix-js-sdk/lib/logger.js";
import { RustBackupManager } from "matrix-js-sdk/lib/rust-crypto/backup.js";

// Newer than some versions of node that are still around.
globalThis.crypto ??= webcrypto;
Promise.withResolvers ??= function () {
    const resolvers = {};
    resolvers.promise = new this((resolve, reject) => Object.assign(resolvers, { resolve, reject }));
    return resolvers;
};

const [baseUrl] = process.argv.slice(2);
logger.setLevel?.("error");
for (const quiet of ["log", "debug", "info", "warn"]) console[quiet] = () => {};

// A browser waits up to ten seconds before it backs keys up.
RustBackupManager.maxBackupLoopStartDelayMillis = 0;

const PATIENCE_MS = 30_000;

function until(emitter, event, accept, what) {
    return new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`never happened: ${what}`)), PATIENCE_MS);
        const listener = (...args) => {
            const found = accept(...args);
            if (found) {
                clearTimeout(timer);
                emitter.off(event, listener);
                resolve(found);
            }
        };
        emitter.on(event, listener);
    });
}

async function eventually(ask, accept, what) {
    const deadline = Date.now() + PATIENCE_MS;
    while (Date.now() < deadline) {
        const found = await ask();
        if (accept(found)) return found;
        await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`never came true: ${what}`);
}

const passwordOf = (name) => `password of ${name}`;

// The keys that a person would have written down.
const recoveryKeys = new Map();

function cryptoCallbacks(userId) {
    return {
        getSecretStorageKey: async ({ keys }) => {
            const kept = recoveryKeys.get(userId);
            return kept && kept.keyId in keys ? [kept.keyId, kept.key] : null;
        },
        cacheSecretStorageKey: (keyId, _info, key) => recoveryKeys.set(userId, { keyId, key }),
    };
}

async function start(answer) {
    const client = sdk.createClient({
        baseUrl,
        userId: answer.user_id,
        deviceId: answer.device_id,
        accessToken: answer.access_token,
        cryptoCallbacks: cryptoCallbacks(answer.user_id),
    });
    await client.initRustCrypto({ useIndexedDB: false });
    const synced = until(client, sdk.ClientEvent.Sync, (state) => state === "PREPARED", `${answer.user_id}'s sync`);
    await client.startClient({ initialSyncLimit: 20, threadSupport: true });
    await synced;
    return client;
}

function uploadAs(name) {
    return (upload) =>
        upload({
            type: "m.login.password",
            identifier: { type: "m.id.user", user: name },
            password: passwordOf(name),
        });
}

async function signUp(name) {
    const anonymous = sdk.createClient({ baseUrl });
    const answer = await anonymous.registerRequest({
        username: name,
        password: passwordOf(name),
        auth: { type: "m.login.dummy" },
    });
    const client = await start(answer);
    await client.getCrypto().bootstrapCrossSigning({ authUploadDeviceSigningKeys: uploadAs(name) });
    return client;
}

async function logInAgain(name) {
    const anonymous = sdk.createClient({ baseUrl });
    return start(
        await anonymous.loginRequest({
            type: "m.login.password",
            identifier: { type: "m.id.user", user: name },
            password: passwordOf(name),
        }),
    );
}

function received(client, body) {
    const accept = (event) =>
        event.getType() === "m.room.message" && event.getContent().body === body ? event : undefined;
    const known = client
        .getRooms()
        .flatMap((room) => [...room.getLiveTimeline().getEvents(), ...room.getThreads().flatMap((t) => t.events)])
        .find(accept);
    if (known) return Promise.resolve(known);
    return until(client, sdk.MatrixEventEvent.Decrypted, accept, `${client.getUserId()} reads ${body}`);
}

// The SDK takes it for an error when /sync brings the first reply of a thread before the answer that has its id.
async function reply(client, roomId, root, body) {
    try {
        await client.sendMessage(roomId, root, { msgtype: "m.text", body });
    } catch (error) {
        if (!String(error).includes("not a local echo")) throw error;
    }
}

async function meet(alice, bob, options) {
    const invited = until(
        bob,
        sdk.RoomEvent.MyMembership,
        (room, membership) => (membership === "invite" ? room.roomId : undefined),
        "the invitation",
    );
    const { room_id: roomId } = await alice.createRoom({
        preset: "private_chat",
        invite: [bob.getUserId()],
        ...options,
    });
    await invited;
    const seen = until(
        alice,
        sdk.RoomMemberEvent.Membership,
        (_event, member) => member.userId === bob.getUserId() && member.membership === "join",
        "the join",
    );
    await bob.joinRoom(roomId);
    await seen;
    return roomId;
}

async function talkInSecret(alice, bob) {
    await alice.getCrypto().bootstrapSecretStorage({
        createSecretStorageKey: () => alice.getCrypto().createRecoveryKeyFromPassphrase(),
        setupNewSecretStorage: true,
        setupNewKeyBackup: true,
    });
    const roomId = await meet(alice, bob, {
        initial_state: [
            { type: "m.room.encryption", state_key: "", content: { algorithm: "m.megolm.v1.aes-sha2" } },
        ],
    });

    const atBob = received(bob, "hello bob");
    await alice.sendTextMessage(roomId, "hello bob");
    const first = await atBob;
    const atAlice = received(alice, "hello alice");
    await bob.sendTextMessage(roomId, "hello alice");
    const second = await atAlice;

    const typing = until(
        alice,
        sdk.RoomMemberEvent.Typing,
        (_event, member) => member.userId === bob.getUserId() && member.typing,
        "typing",
    );
    await bob.sendTyping(roomId, true, 20_000);
    await typing;
    const receipt = until(
        bob,
        sdk.RoomEvent.Receipt,
        (event) => JSON.stringify(event.getContent()).includes(alice.getUserId()),
        "the receipt",
    );
    await alice.sendReadReceipt(second);
    await receipt;

    const inThread = received(bob, "in a thread");
    await reply(alice, roomId, first.getId(), "in a thread");
    const threaded = await inThread;

    const events = [first, second, threaded];
    return {
        roomId,
        seen: {
            encrypted: events.every((event) => event.isEncrypted()),
            bodies: events.map((event) => event.getContent().body),
            thread: threaded.threadRootId === first.getId(),
            crossSigned: await alice.getCrypto().isCrossSigningReady(),
            secretStorage: await alice.getCrypto().isSecretStorageReady(),
        },
    };
}

async function comeBackAsNewDevice(alice, roomId) {
    const info = await eventually(
        () => alice.http.authedRequest("GET", "/room_keys/version"),
        (found) => found.count >= 2,
        "two sessions in the backup",
    );
    const device = await logInAgain("js-alice");
    const crypto = device.getCrypto();
    await crypto.userHasCrossSigningKeys(device.getUserId(), true);
    await crypto.bootstrapCrossSigning({ authUploadDeviceSigningKeys: uploadAs("js-alice") });
    await crypto.loadSessionBackupPrivateKeyFromSecretStorage();
    const restored = await crypto.restoreKeyBackup();
    const room = device.getRoom(roomId);
    await device.scrollback(room, 30);
    const old = await received(device, "hello alice");
    const verified = await eventually(
        () => alice.getCrypto().getDeviceVerificationStatus(device.getUserId(), device.getDeviceId()),
        (status) => status?.crossSigningVerified,
        "the old device trusts the new one",
    );
    device.stopClient();
    return {
        backup: { version: info.version, counted: info.count === restored.imported },
        history: old.getContent().body,
        newDeviceTrusted: verified.crossSigningVerified,
    };
}

async function talkInTheOpen(alice, bob) {
    const roomId = await meet(alice, bob, { name: "In the open" });
    const { event_id: root } = await alice.sendTextMessage(roomId, "root");
    await reply(alice, roomId, root, "one");
    await reply(alice, roomId, root, "two");
    await alice.sendMessage(roomId, {
        "msgtype": "m.text",
        "body": "* edited",
        "m.new_content": { msgtype: "m.text", body: "edited" },
        "m.relates_to": { rel_type: "m.replace", event_id: root },
    });
    const react = () =>
        bob.http.authedRequest("PUT", `/rooms/${encodeURIComponent(roomId)}/send/m.reaction/${Math.random()}`, undefined, {
            "m.relates_to": { rel_type: "m.annotation", event_id: root, key: "+1" },
        });
    await react();
    const duplicate = await react().then(
        () => "accepted",
        (error) => error.errcode,
    );
    const { unsigned } = await bob.fetchRoomEvent(roomId, root);
    const bundled = unsigned["m.relations"];
    const { chunk } = await bob.fetchRelations(roomId, root, "m.thread", null);

    const room = bob.getRoom(roomId);
    const unread = () => room.getThreadUnreadNotificationCount(root, sdk.NotificationCountType.Total);
    const before = await eventually(unread, (count) => count === 2, "two unread replies");
    const last = room.getThread(root).events.at(-1);
    await bob.sendReadReceipt(last);
    const after = await eventually(unread, (count) => count === 0, "no unread replies");

    return {
        thread: { count: bundled["m.thread"].count, latest: bundled["m.thread"].latest_event.content.body },
        edit: bundled["m.replace"].content["m.new_content"].body,
        replies: chunk.map((event) => event.content.body).sort(),
        duplicate,
        unread: [before, after],
    };
}

async function fields(alice, bob) {
    await alice.setDisplayName("Alice");
    await alice.setExtendedProfileProperty("org.example.pronouns", ["she", "her"]);
    await alice.setExtendedProfileProperty("m.tz", "Europe/London");
    const profile = await bob.getExtendedProfile(alice.getUserId());
    const property = await bob.getExtendedProfileProperty(alice.getUserId(), "org.example.pronouns");
    await alice.deleteExtendedProfileProperty("m.tz");
    const left = await bob.getExtendedProfile(alice.getUserId());
    return { profile, property, left: Object.keys(left).sort() };
}

async function space(alice) {
    const { room_id: spaceId } = await alice.createRoom({ creation_content: { type: "m.space" }, name: "Space" });
    for (const name of ["b", "a"]) {
        const { room_id: child } = await alice.createRoom({ name });
        await alice.sendStateEvent(spaceId, "m.space.child", { via: ["localhost"], order: name }, child);
    }
    const page = await alice.getRoomHierarchy(spaceId, 2);
    const rest = await alice.getRoomHierarchy(spaceId, 2, undefined, undefined, page.next_batch);
    return [...page.rooms, ...rest.rooms].map((room) => room.name);
}

async function main() {
    const alice = await signUp("js-alice");
    const bob = await signUp("js-bob");
    const { roomId, seen } = await talkInSecret(alice, bob);
    const told = {
        ...seen,
        newDevice: await comeBackAsNewDevice(alice, roomId),
        open: await talkInTheOpen(alice, bob),
        profile: await fields(alice, bob),
        space: await space(alice),
    };
    alice.stopClient();
    bob.stopClient();
    await new Promise((resolve) => process.stdout.write(`${JSON.stringify(told)}\n`, resolve));
}

main().then(
    () => process.exit(0),
    (error) => {
        console.error(error);
        process.exit(1);
    },
);
