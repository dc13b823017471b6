// What Fabric's official Node client sees of a network: it is given a description of where and who it is, runs through
// its own interface, and prints one JSON object with what came of each step.
'use strict';

const crypto = require('node:crypto');
const fs = require('node:fs');
const grpc = require('@grpc/grpc-js');
const { checkpointers, connect, hash, signers } = require('@hyperledger/fabric-gateway');
const { common, peer } = require('@hyperledger/fabric-protos');

const given = JSON.parse(process.argv[2]);
const text = (bytes) => Buffer.from(bytes).toString();

function refusal(error) {
    return {
        type: error.constructor.name,
        code: error.code === undefined ? null : error.code,
        details: (error.details || []).map((one) => [one.mspId, one.message, one.address !== '']),
    };
}

async function attempt(action) {
    try {
        await action();
        return null;
    } catch (error) {
        return refusal(error);
    }
}

async function taken(stream, count, take) {
    const found = [];
    try {
        for await (const one of stream) {
            found.push(take(one));
            if (found.length >= count) {
                break;
            }
        }
    } finally {
        stream.close();
    }
    return found;
}

async function submissions(contract) {
    const found = {};
    found.submitted = text(await contract.submitTransaction('put', 'node', 'value'));
    found.evaluated = text(await contract.evaluateTransaction('get', 'node'));
    const commit = await contract.submitAsync('increment', { arguments: ['node-counter'] });
    const status = await commit.getStatus();
    found.asynchronous = [
        text(commit.getResult()), status.successful, status.code, status.blockNumber > 0n,
        status.transactionId === commit.getTransactionId(),
    ];
    found.named = text(
        await contract.submit('put', { arguments: ['node-named', 'x'], endorsingOrganizations: given.quorum }),
    );
    found.transient = text(await contract.evaluate('transient', { transientData: { secret: Buffer.from('hidden') } }));
    return found;
}

async function refusals(network, contract) {
    return {
        evaluate: await attempt(() => contract.evaluateTransaction('refuse', 'not today')),
        endorse: await attempt(() => contract.submitTransaction('refuse', 'not today')),
        disagree: await attempt(() => contract.submitTransaction('differ')),
        unknown: await attempt(() => network.getContract('absent').evaluateTransaction('get', 'k')),
        commit: await attempt(() =>
            contract.submit('put', { arguments: ['node-alone', 'x'], endorsingOrganizations: [given.mspId] }),
        ),
    };
}

async function conflict(contract) {
    const transactions = [];
    for (let number = 0; number < 2; number++) {
        transactions.push(await contract.newProposal('increment', { arguments: ['node-contended'] }).endorse());
    }
    const codes = [];
    const commits = [];
    for (const transaction of transactions) {
        commits.push(await transaction.submit());
    }
    for (const commit of commits) {
        codes.push(peer.TxValidationCode[(await commit.getStatus()).code] ?? (await commit.getStatus()).code);
    }
    return codes;
}

async function offline(gateway, contract, sign) {
    const unsigned = contract.newProposal('put', { arguments: ['node-offline', 'x'] });
    const proposal = gateway.newSignedProposal(unsigned.getBytes(), await sign(unsigned.getDigest()));
    const prepared = await proposal.endorse();
    const transaction = gateway.newSignedTransaction(prepared.getBytes(), await sign(prepared.getDigest()));
    const submitted = await transaction.submit();
    const commit = gateway.newSignedCommit(submitted.getBytes(), await sign(submitted.getDigest()));
    return (await commit.getStatus()).successful;
}

async function events(network, contract) {
    const first = await contract.submitAsync('event', { arguments: ['node-event', '0'] });
    const startBlock = (await first.getStatus()).blockNumber;
    for (const payload of ['1', '2']) {
        await contract.submitTransaction('event', 'node-event', payload);
    }
    const shown = (event) => [event.chaincodeName, event.eventName, text(event.payload)];
    const found = { started: await taken(await network.getChaincodeEvents(given.chaincode, { startBlock }), 3, shown) };
    const checkpoint = checkpointers.inMemory();
    await taken(await network.getChaincodeEvents(given.chaincode, { startBlock }), 2, (event) =>
        checkpoint.checkpointChaincodeEvent(event),
    );
    found.resumed = await taken(await network.getChaincodeEvents(given.chaincode, { checkpoint }), 1, shown);
    return found;
}

async function blocks(network) {
    const found = {};
    const number = (block) => Number(block.getHeader().getNumber());
    found.blocks = await taken(await network.getBlockEvents({ startBlock: 1n }), 3, number);
    found.filtered = await taken(await network.getFilteredBlockEvents({ startBlock: 1n }), 3, (block) => [
        Number(block.getNumber()), block.getChannelId(), block.getFilteredTransactionsList().length > 0,
    ]);
    found.private = await taken(await network.getBlockAndPrivateDataEvents({ startBlock: 2n }), 1, (both) => [
        number(both.getBlock()), both.getPrivateDataMapMap().getLength(),
    ]);
    const qscc = network.getContract('qscc');
    const info = common.BlockchainInfo.deserializeBinary(await qscc.evaluateTransaction('GetChainInfo', given.channel));
    const last = String(info.getHeight() - 1);
    const block = common.Block.deserializeBinary(
        await qscc.evaluateTransaction('GetBlockByNumber', given.channel, last),
    );
    found.qscc = number(block) === info.getHeight() - 1;
    return found;
}

async function main() {
    const key = crypto.createPrivateKey(fs.readFileSync(given.key));
    const sign = signers.newPrivateKeySigner(key);
    const client = new grpc.Client(given.address, grpc.credentials.createSsl(fs.readFileSync(given.tlsCa)));
    const gateway = connect({
        client,
        identity: { mspId: given.mspId, credentials: fs.readFileSync(given.certificate) },
        signer: sign,
        hash: hash.sha256,
    });
    try {
        const network = gateway.getNetwork(given.channel);
        const contract = network.getContract(given.chaincode);
        const found = {
            ...(await submissions(contract)),
            refusals: await refusals(network, contract),
            conflict: await conflict(contract),
            offline: await offline(gateway, contract, sign),
            ...(await events(network, contract)),
            ...(await blocks(network)),
        };
        process.stdout.write(JSON.stringify(found));
    } finally {
        gateway.close();
        client.close();
    }
}

main().catch((error) => {
    process.stderr.write(`${error.stack}\n${JSON.stringify(error.details || [])}\n`);
    process.exit(1);
});
