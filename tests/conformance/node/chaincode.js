// A chaincode on Fabric's official Node runtime, as a service. Address and package id come from the environment, as
// for every chaincode service; it prints a line that begins with `ready` once peers can connect.
'use strict';

const shim = require('fabric-shim');

async function collected(iterator, take) {
    const found = [];
    for (let next = await iterator.next(); !next.done; next = await iterator.next()) {
        found.push(take(next.value));
    }
    await iterator.close();
    return found;
}

const text = (bytes) => Buffer.from(bytes).toString();

const functions = {
    async put(stub, key, value) {
        await stub.putState(key, Buffer.from(value));
        return 'ok';
    },
    async get(stub, key) {
        return text(await stub.getState(key));
    },
    async delete(stub, key) {
        await stub.deleteState(key);
        return 'ok';
    },
    async increment(stub, key) {
        const value = String(Number(text(await stub.getState(key)) || '0') + 1);
        await stub.putState(key, Buffer.from(value));
        return value;
    },
    async fill(stub, prefix, count) {
        for (let number = 0; number < Number(count); number++) {
            await stub.putState(prefix + String(number).padStart(4, '0'), Buffer.from('x'));
        }
        return 'ok';
    },
    async range(stub, start, end) {
        return JSON.stringify(await collected(await stub.getStateByRange(start, end), (one) => one.key));
    },
    async page(stub, start, end, size, bookmark) {
        const found = await stub.getStateByRangeWithPagination(start, end, Number(size), bookmark);
        const keys = await collected(found.iterator, (one) => one.key);
        return JSON.stringify([keys, found.metadata.bookmark, found.metadata.fetchedRecordsCount]);
    },
    async composite(stub, value, kind, ...attributes) {
        await stub.putState(stub.createCompositeKey(kind, attributes), Buffer.from(value));
        return 'ok';
    },
    async composites(stub, kind, ...attributes) {
        const iterator = await stub.getStateByPartialCompositeKey(kind, attributes);
        const found = await collected(iterator, (one) => [...stub.splitCompositeKey(one.key).attributes, text(one.value)]);
        return JSON.stringify(found);
    },
    async history(stub, key) {
        const found = await collected(await stub.getHistoryForKey(key), (one) => [
            one.txId, text(one.value), one.isDelete,
        ]);
        return JSON.stringify(found);
    },
    async guard(stub, key, value, ...mspIds) {
        const policy = new shim.KeyEndorsementPolicy();
        policy.addOrgs('PEER', ...mspIds);
        await stub.putState(key, Buffer.from(value));
        await stub.setStateValidationParameter(key, policy.getPolicy());
        return 'ok';
    },
    async guards(stub, key) {
        const policy = new shim.KeyEndorsementPolicy(await stub.getStateValidationParameter(key));
        return JSON.stringify(policy.listOrgs().sort());
    },
    async event(stub, name, payload) {
        await stub.putState('event', Buffer.from(name));
        stub.setEvent(name, Buffer.from(payload));
        return 'ok';
    },
    async transient(stub) {
        const found = {};
        for (const [name, value] of stub.getTransient()) {
            found[name] = text(value);
        }
        return JSON.stringify(found);
    },
    async rich(stub) {
        await stub.getQueryResult('{"selector":{}}');
        return 'not reached';
    },
    async refuse(stub, message) {
        throw new Error(message);
    },
    async who(stub) {
        const identity = new shim.ClientIdentity(stub);
        return JSON.stringify([identity.getMSPID(), stub.getChannelID(), stub.getTxTimestamp().seconds > 0]);
    },
};

const chaincode = {
    async Init() {
        return shim.error('there is no init');
    },
    async Invoke(stub) {
        const { fcn, params } = stub.getFunctionAndParameters();
        try {
            if (!Object.hasOwn(functions, fcn)) {
                throw new Error(`no function ${fcn}`);
            }
            return shim.success(Buffer.from(await functions[fcn](stub, ...params)));
        } catch (error) {
            return shim.error(error.message);
        }
    },
};

const server = shim.server(chaincode, {
    ccid: process.env.CHAINCODE_ID,
    address: process.env.CHAINCODE_SERVER_ADDRESS,
});
server.start().then(
    () => process.stdout.write(`ready ${process.env.CHAINCODE_SERVER_ADDRESS}\n`),
    (error) => {
        process.stderr.write(`${error}\n`);
        process.exit(1);
    },
);
