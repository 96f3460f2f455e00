/** A thief of the online keys drives versions up, so that nothing honest could follow. New keys must undo it. */
import t from 'tap'
import { SNAPSHOT, TARGETS, TIMESTAMP, version } from '../../tuf/index.ts'
import type { Snapshot, Timestamp } from '../../tuf/index.ts'
import { codeOf } from '../support/cli.ts'
import { openLab, refuseAll, rewrite } from '../support/attack-lab.ts'
import type { Lab } from '../support/attack-lab.ts'
import { nextTargets, tufCodec } from '../../tuf/index.ts'
import { signFile } from '../server/support/party.ts'
import { refuseUploads } from '../support/upload-lab.ts'
import { signingKey } from '../support/signing-key.ts'
import type { SigningKey } from '../support/signing-key.ts'
import { targetOf } from '../support/simulator.ts'
import type { Simulator } from '../support/simulator.ts'

const HIGHEST = Number.MAX_SAFE_INTEGER

type Thief = (simulator: Simulator, to: number) => void
const THIEVES: Record<string, { steal: Thief; code?: string }> = {
  'the timestamp': {
    steal: (simulator, to) => simulator.publishTimestamp((body) => ({ ...body, version: version(to) })),
  },
  'the snapshot': {
    steal: (simulator, to) => {
      simulator.publishSnapshot((body) => ({ ...body, version: version(to) }))
      simulator.publishTimestamp()
    },
  },
  'what the snapshot says of targets': {
    steal: (simulator, to) => {
      const listed = { version: version(to), unknown: new Map() }
      simulator.publishSnapshot((body) => ({ ...body, meta: new Map([[TARGETS, listed]]) }))
      simulator.publishTimestamp()
    },
    code: 'NO_TRUST_DATA',
  },
}
type Rotation = (simulator: Simulator) => Partial<Record<'timestamp' | 'snapshot', readonly SigningKey[]>>
const ROTATIONS: Record<string, Rotation> = {
  'both keys replaced': () => ({ timestamp: [signingKey()], snapshot: [signingKey()] }),
  'new keys beside the old ones, which still sign': (simulator) => ({
    timestamp: [...(simulator.signers.get(TIMESTAMP) ?? []), signingKey()],
    snapshot: [...(simulator.signers.get(SNAPSHOT) ?? []), signingKey()],
  }),
}

/** The honest repository again, at the versions that it had before. */
function goBack(simulator: Simulator, snapshot: Snapshot, timestamp: Timestamp): void {
  simulator.snapshot = snapshot
  simulator.timestamp = timestamp
  simulator.sign({ '1.0': targetOf('two') })
  simulator.release()
}
async function resolved(lab: Lab, client: 'library' | 'command'): Promise<string | undefined> {
  if (client === 'command') {
    const ran = await lab.command()
    return ran.code === 0 ? 'trusted' : codeOf(ran)
  }
  return await lab.library().then(
    () => 'trusted',
    (error: Error & { code: string }) => error.code,
  )
}

for (const [what, { steal, code = 'trusted' }] of Object.entries(THIEVES)) {
  for (const [how, rotation] of Object.entries(ROTATIONS)) {
    for (const to of [2 ** 31, HIGHEST]) {
      await t.test(`${what} at version ${to}: ${how}, and versions start again`, async (t) => {
        const lab = await openLab()
        t.teardown(lab.close)
        const { simulator } = lab
        const clients =
          what === 'the snapshot' && how === 'both keys replaced' && to === HIGHEST
            ? (['library', 'command'] as const)
            : (['library'] as const)
        for (const client of clients) t.equal(await resolved(lab, client), 'trusted')
        const { snapshot, timestamp } = simulator
        steal(simulator, to)
        for (const client of clients) t.equal(await resolved(lab, client), code, `${client}: the thief has the keys`)
        goBack(simulator, snapshot, timestamp)
        for (const client of clients)
          t.equal(await resolved(lab, client), 'ROLLBACK', `${client}: as long as they hold`)
        simulator.publishRoot(rotation(simulator))
        goBack(simulator, snapshot, timestamp)
        for (const client of clients) t.equal(await resolved(lab, client), 'trusted', client)
      })
    }
  }
}

const beyond = (text: string) => (file: string) => file.replace(/"version":[0-9]+\}$/, `"version":${text}}`)
await refuseAll(
  t,
  Object.fromEntries(
    ['9007199254740992', '9007199254740993', '18446744073709551616', '1e16', '-1', '0'].map((text, i) => [
      `a timestamp of version ${text}`,
      {
        attack: (simulator: Simulator) => {
          simulator.publishTimestamp()
          rewrite(simulator, TIMESTAMP, beyond(text))
        },
        code: 'MALFORMED',
        after: (simulator: Simulator) => simulator.release(),
        libraryOnly: i > 0,
      },
    ]),
  ),
)

await refuseUploads(
  t,
  Object.fromEntries(
    [3, 2 ** 31, HIGHEST].map((to) => [
      `targets of version ${to} after version 1`,
      {
        send: async ({ owner, now }) => {
          const next = nextTargets(owner.targets, {}, { codec: tufCodec, expires: now + 1e9 })
          return { targets: await signFile({ ...next, version: version(to) }, owner.targetsKey) }
        },
        code: 'VERSION',
      },
    ]),
  ),
)
