/** The signer is killed at random moments, between mark and answer among them. A version never means two files. */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { instant, tufCodec, version } from '../../../tuf/index.ts'
import { privateFolder } from '../../support/secrets.ts'
import { askSigner } from '../../support/signer-lab.ts'
import { startSignerProcess } from '../../support/signer-process.ts'

const KILLS = Number(process.env['SIGNER_KILLS'] ?? 6)
const REPO = 'registry.example.com/team/app'
const HOUR = 3600 * 1000

/** Two thieves, or one server that died and came back, make two files of each version. */
function fileOf(at: number, minutes: number): string {
  const expires = Math.floor(Date.now() / HOUR) * HOUR + HOUR + minutes * 60_000
  const snapshot = { version: version(1), unknown: new Map() }
  const body = { version: version(at), expires: instant(expires), expiresText: tufCodec.date(expires) }
  const file = tufCodec.assemble({ type: 'timestamp', ...body, snapshot, unknown: new Map() }, [])
  return Buffer.from(file).toString('utf8')
}

await t.test(`${KILLS} kills`, async (t) => {
  const data = join(privateFolder(t), 'signer')
  const listen = `unix:${join(data, 'signer.sock')}`
  const signed = new Map<number, Set<string>>()
  let [keyid, at] = ['', 1]
  for (let kill = 0; kill <= KILLS; kill++) {
    const signer = await startSignerProcess(t, { data })
    t.equal(signer.url, listen, 'on the socket that the dead one left behind')
    if (keyid === '') {
      const { json } = await askSigner(listen, '/v1/keys', { repository: REPO, role: 'timestamp' })
      keyid = String(json['keyid'])
    }
    const ask = async (tried: number, minutes: number) => {
      const file = fileOf(tried, minutes)
      const request = { repository: REPO, role: 'timestamp', keyid, dialect: 'tuf-1.0', file }
      const answer = await askSigner(listen, '/v1/signatures', request).catch(() => undefined)
      if (answer?.status === 200) signed.set(tried, new Set([...(signed.get(tried) ?? []), file]))
      return answer
    }
    // What was on its way when it died may be signed or not; nothing else under its version may be.
    for (let tried = Math.max(1, at - 3); tried <= at; tried++) await Promise.all([ask(tried, 1), ask(tried, 2)])
    let dying: Promise<void> | undefined
    for (;;) {
      at += 1
      const answers = await Promise.all([ask(at, 1), ask(at, 2), ask(at, 1)])
      if (answers.includes(undefined)) break
      dying ??= sleep(Math.random() * 200).then(() => signer.stop('SIGKILL'))
    }
    await dying
  }
  t.ok(signed.size > KILLS, `${signed.size} versions were signed`)
  for (const [tried, files] of signed) {
    if (files.size > 1) t.fail(`version ${tried} was signed for ${files.size} files`)
  }
})
