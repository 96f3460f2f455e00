/** Chains of roots, and other keys for the other roles. */
import t from 'tap'
import { initialised } from '../conformance-client.ts'
import { newKey, openPeerServer, PeerRepository } from '../peer-repository.ts'
import type { PeerKey } from '../peer-repository.ts'

const server = await openPeerServer()
t.teardown(() => server.close())

type RootVersion = readonly [keys: readonly number[], threshold: number, signers: readonly number[]]
const ROTATIONS: Record<string, { roots: readonly RootVersion[]; refused?: true }> = {
  '1 of 1, replaced': {
    roots: [
      [[1], 1, [1]],
      [[2], 1, [2, 1]],
      [[2], 1, [2]],
    ],
  },
  '1 of 1, replaced, with signatures of strangers': {
    roots: [
      [[1], 1, [3, 1, 4]],
      [[2], 1, [3, 2, 1, 4]],
      [[2], 1, [3, 2, 4]],
    ],
  },
  '3 of 5, signed by other three each time': {
    roots: [
      [[0, 1, 2, 3, 4], 3, [0, 2, 4]],
      [[0, 1, 2, 3, 4], 3, [0, 4, 1]],
      [[0, 1, 2, 3, 4], 3, [0, 1, 3]],
    ],
  },
  '3 of 5, one replaced': {
    roots: [
      [[0, 1, 2, 3, 4], 3, [0, 2, 4]],
      [[0, 1, 3, 4, 5], 3, [0, 4, 1]],
    ],
  },
  '3 of 5, one replaced by way of a fourth signature': {
    roots: [
      [[0, 1, 2, 3, 4], 3, [0, 2, 4]],
      [[0, 1, 3, 4, 5], 3, [0, 2, 4, 5]],
      [[0, 1, 3, 4, 5], 3, [0, 4, 5]],
    ],
  },
  '3 of 5, all replaced': {
    roots: [
      [[0, 1, 2, 3, 4], 3, [0, 2, 4]],
      [[5, 6, 7, 8, 9], 3, [0, 2, 4, 5, 6, 7]],
      [[5, 6, 7, 8, 9], 3, [5, 6, 7]],
    ],
  },
  '1 of 3 becomes 2 of 3': {
    roots: [
      [[1, 2, 3], 1, [1]],
      [[1, 2, 3], 2, [1, 2]],
    ],
  },
  '2 of 3 becomes 1 of 3': {
    roots: [
      [[1, 2, 3], 2, [1, 2]],
      [[1, 2, 3], 1, [1, 2]],
      [[1, 2, 3], 1, [1]],
    ],
  },
  '1 of 1 becomes 2 of 2': {
    roots: [
      [[1], 1, [1]],
      [[1, 2], 2, [1, 2]],
    ],
  },
  'a root without the old key': {
    roots: [
      [[1], 1, [1]],
      [[2], 1, [2, 3, 4]],
    ],
    refused: true,
  },
  'a root without the new key': {
    roots: [
      [[1], 1, [1]],
      [[2], 1, [1, 3, 4]],
    ],
    refused: true,
  },
  'a root with two of the three new keys': {
    roots: [
      [[0, 1, 2, 3, 4], 3, [0, 2, 4]],
      [[0, 1, 3, 4, 5], 3, [0, 2, 4]],
    ],
    refused: true,
  },
  'a root with two of the three old keys': {
    roots: [
      [[0, 1, 2, 3, 4], 3, [0, 2, 4]],
      [[0, 1, 3, 4, 5], 3, [0, 4, 5]],
    ],
    refused: true,
  },
  'a root that misses its own higher threshold': {
    roots: [
      [[1, 2, 3], 1, [1]],
      [[1, 2, 3], 2, [2]],
    ],
    refused: true,
  },
  'a root that misses the higher threshold before it': {
    roots: [
      [[1, 2, 3], 2, [1, 2]],
      [[1, 2, 3], 1, [1]],
    ],
    refused: true,
  },
}

const OTHER_ROTATIONS: Record<string, { keys: RootVersion; refused?: true }> = {
  '1 of 1, replaced': { keys: [[2], 1, [2]] },
  '1 of 1, with signatures of strangers': { keys: [[1], 1, [3, 1, 4]] },
  '3 of 5': { keys: [[0, 1, 2, 3, 4], 3, [0, 2, 4]] },
  'not signed by the new key': { keys: [[2], 1, [1, 3, 4]], refused: true },
  'signed by two of three and a stranger': { keys: [[0, 1, 3, 4, 5], 3, [0, 2, 4]], refused: true },
  'signed by two of three': { keys: [[0, 1, 3, 4, 5], 3, [0, 4]], refused: true },
}

function useKeys(repository: PeerRepository, role: string, keys: readonly PeerKey[], version: RootVersion): void {
  const [listed, threshold, signers] = version
  const pick = (numbers: readonly number[]) => numbers.flatMap((i) => keys[i] ?? [])
  Object.assign(repository.entry(role), { threshold, keyids: [] })
  for (const key of pick(listed)) repository.listKey(role, key)
  repository.signers.set(role, new Map(pick(signers).map((key) => [key.keyid, key])))
}

await t.test('root rotation', async (t) => {
  const keys = Array.from({ length: 10 }, () => newKey('ed25519'))
  for (const [name, { roots, refused }] of Object.entries(ROTATIONS)) {
    await t.test(`${refused ? 'refuses' : 'follows'} ${name}`, async (t) => {
      const repository = new PeerRepository()
      repository.published.delete('root')
      for (const version of roots) {
        useKeys(repository, 'root', keys, version)
        repository.publish('root')
      }
      const { client } = await initialised(server, repository, { name: t.fullname, folder: t.testdir() })
      t.equal(await client.refresh(), refused ? 1 : 0)
      t.equal(client.file('root.json'), String(repository.published.get('root')?.at(refused ? -2 : -1)))
    })
  }
})

await t.test('rotation of the other roles', async (t) => {
  const keys = Array.from({ length: 10 }, () => newKey('ed25519'))
  for (const [name, { keys: version, refused }] of Object.entries(OTHER_ROTATIONS)) {
    await t.test(`${refused ? 'refuses' : 'accepts'} ${name}`, async (t) => {
      const { client, repository } = await initialised(server, new PeerRepository(), {
        name: t.fullname,
        folder: t.testdir(),
      })
      for (const role of ['timestamp', 'snapshot', 'targets']) {
        useKeys(repository, role, keys, version)
        repository.publish('root', 'targets', 'snapshot', 'timestamp')
        t.equal(await client.refresh(), refused ? 1 : 0)
        if (!refused) t.equal(client.file(`${role}.json`), String(repository.newest(role)))
      }
    })
  }
})
