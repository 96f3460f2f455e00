/** Thresholds, repeated keys and signatures, and the kinds of keys. */
import t from 'tap'
import { runCases } from '../conformance-client.ts'
import type { Case } from '../conformance-client.ts'
import { newKey, openPeerServer } from '../peer-repository.ts'

const server = await openPeerServer()
t.teardown(() => server.close())

const KEYS: Record<string, Case> = {
  'two of three required signatures are too few': async (t, { client, repository }) => {
    repository.entry('snapshot').threshold = 3
    repository.addKey('snapshot')
    repository.addKey('snapshot')
    repository.publish('root', 'targets', 'snapshot', 'timestamp')
    t.equal(await client.refresh(), 0)
    const [first = ''] = repository.signersOf('snapshot').keys()
    repository.signersOf('snapshot').delete(first)
    repository.publish('targets', 'snapshot', 'timestamp')
    t.equal(await client.refresh(), 1)
    t.equal(client.version('snapshot'), 2)
  },
  'a threshold above the number of keys is never met': async (t, { client, repository }) => {
    for (let i = 0; i < 4; i++) repository.addKey('snapshot')
    repository.entry('snapshot').threshold = 6
    repository.publish('root', 'snapshot', 'timestamp')
    t.equal(await client.refresh(), 1)
    t.equal(client.version('root'), 2)
    t.equal(client.version('snapshot'), undefined)
  },
  'one key listed and signing nine times counts once': async (t, { client, repository }) => {
    const key = newKey()
    for (let i = 0; i < 8; i++) repository.listKey('snapshot', key)
    repository.addKey('snapshot', key)
    repository.entry('snapshot').threshold = 6
    repository.publish('root', 'snapshot', 'timestamp')
    repository.replaceNewest('snapshot', (file) => {
      const signature = file.signatures.find(({ keyid }) => keyid === key.keyid) ?? {}
      for (let i = 0; i < 8; i++) file.signatures.push(signature)
    })
    t.equal(await client.refresh(), 1)
    t.equal(client.version('snapshot'), undefined)
  },
  'a signature repeated under one key id is refused although the threshold is met': async (
    t,
    { client, repository },
  ) => {
    repository.replaceNewest('snapshot', (file) => file.signatures.push(file.signatures[0] ?? {}))
    t.equal(await client.refresh(), 1)
    t.equal(client.version('snapshot'), undefined)
  },
  'a wrong signature or an empty one beside a good one does no harm': async (t, { client, repository }) => {
    const other = repository.addKey('timestamp')
    repository.publish('root', 'timestamp')
    const spoil = (sig: string) =>
      repository.replaceNewest('timestamp', ({ signatures }) => {
        for (const signature of signatures) if (signature['keyid'] === other.keyid) signature['sig'] = sig
      })
    spoil(other.sign(Buffer.from('something else')).toString('hex'))
    t.equal(await client.refresh(), 0)
    repository.publish('timestamp')
    spoil('')
    t.equal(await client.refresh(), 0)
  },
}
for (const kind of ['rsa', 'ecdsa', 'ed25519'] as const) {
  KEYS[`a root that needs a key of type ${kind} is accepted, and refused once its signature is wrong`] = async (
    t,
    { client, repository },
  ) => {
    const key = repository.addKey('root', newKey(kind))
    repository.entry('root').threshold = 2
    repository.publish('root')
    t.equal(await client.refresh(), 0)
    t.equal(client.version('root'), 2)
    repository.publish('root')
    repository.replaceNewest('root', ({ signatures }) => {
      for (const signature of signatures) {
        if (signature['keyid'] === key.keyid) signature['sig'] = newKey(kind).sign(Buffer.from('x')).toString('hex')
      }
    })
    t.equal(await client.refresh(), 1)
    t.equal(client.version('root'), 2)
  }
}

await t.test('signatures and keys', async (t) => await runCases(t, server, KEYS))
