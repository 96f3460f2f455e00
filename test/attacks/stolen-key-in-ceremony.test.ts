/**
 * A thief has the targets key that a ceremony replaces, and the proposal passes through their hands before anybody signed
 * it: they have it begin from targets of their own, which the stolen key signed and nobody published.
 */
import { createPrivateKey, sign } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { checkProposal } from '../../client/ceremony/open.ts'
import { decodeProposal, encodeProposal } from '../../client/ceremony/proposal.ts'
import { wordsOf } from '../../client/ceremony/words.ts'
import { nativeSuite } from '../../keys/native/suite.ts'
import { DEFAULT_LIMITS, keyId, nextTargets, TARGETS, tufCodec } from '../../tuf/index.ts'
import type { Targets } from '../../tuf/index.ts'
import { done, makeKey, openCeremony } from '../support/ceremony.ts'
import type { Holder } from '../support/ceremony.ts'
import { whyNoRegistry } from '../support/registry.ts'
import { targetOf } from '../support/simulator.ts'

const skip = (await whyNoRegistry()) ?? false

await t.test('targets that a thief signed do not come in with a root', { skip }, async (t) => {
  const ceremony = await openCeremony(t)
  const { repository } = ceremony
  const alice = ceremony.holder('alice')
  const [rootKey, stolen, next] = [await makeKey(alice), await makeKey(alice, 'ci'), await makeKey(alice, 'ci-2')]
  const first = alice.path('first.json')
  const founding = ['--add-root', rootKey, '--add-targets', stolen, '--out', first]
  done(t, await alice.online(['root', 'propose', repository, ...founding]))
  done(t, await alice.online(['root', 'sign', first, '--yes']))
  done(t, await alice.online(['root', 'publish', first]))
  await ceremony.push('1.0')
  done(t, await alice.online(['sign', `${repository}:1.0`]))
  const second = alice.path('second.json')
  const replacing = ['--add-targets', next, '--remove-targets', stolen, '--out', second]
  done(t, await alice.online(['root', 'propose', repository, ...replacing]))

  writeFileSync(second, beginningElsewhere(second, await keyIn(alice, 'ci')))
  for (const command of [['review'], ['sign', '--yes']]) {
    const [verb = '', ...more] = command
    const came = await alice.online(['root', verb, second, ...more])
    t.match(came, { exit: 1, code: 'PROPOSAL_UNSOUND', stderr: /a targets 2 that the server never published/ }, verb)
  }
  const reviewed = done(t, await alice.run(['root', 'review', second, '--offline']))
  t.match(reviewed.stdout, /targets 3 goes with it: 2 tags as in version 2/, 'nobody offline can tell')
  done(t, await alice.run(['root', 'sign', second, '--yes', '--offline']))
  t.match(await alice.online(['root', 'publish', second]), { exit: 1, code: 'FILES_STALE' })
  t.match(await alice.online(['verify', `${repository}:evil`]), { exit: 1 })
})

/** What the thief makes of the proposal: the same step, from other targets of the same version. */
function beginningElsewhere(path: string, { id, pem }: { readonly id: string; readonly pem: string }): Uint8Array {
  const proposal = decodeProposal(readFileSync(path), path)
  const read = (bytes: Uint8Array | undefined): Targets =>
    tufCodec.decode('targets', bytes ?? new Uint8Array(), { suite: nativeSuite, limits: DEFAULT_LIMITS }).body
  const [before, after] = [read(proposal.before.get(TARGETS)), read(proposal.next.get(TARGETS))]
  const evil = { ...before, targets: new Map([...before.targets, ['evil', targetOf('evil')]]) }
  const sig = sign(null, tufCodec.encode(evil), createPrivateKey(pem))
  const signedEvil = tufCodec.assemble(evil, [{ keyid: keyId(id), sig, unknown: new Map() }])
  const following = nextTargets(evil, {}, { codec: tufCodec, expires: after.expires })
  const altered = {
    ...proposal,
    before: new Map([[TARGETS, signedEvil]]),
    next: new Map([...proposal.next, [TARGETS, tufCodec.assemble(following, [])]]),
  }
  return encodeProposal({ ...altered, words: wordsOf(checkProposal(altered, path)) })
}

async function keyIn(holder: Holder, name: string) {
  const { stdout } = await holder.run(['key', 'list', '--json'])
  const { keys } = JSON.parse(stdout) as { readonly keys: readonly { readonly id: string; readonly name?: string }[] }
  const id = keys.find((key) => key.name === name)?.id ?? ''
  const exported = await holder.run(['key', 'export', id, '--private', '--no-passphrase'])
  return { id, pem: exported.stdout }
}
