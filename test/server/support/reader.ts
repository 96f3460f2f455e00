import { nativeSuite } from '../../../keys/native/suite.ts'
import {
  DEFAULT_LIMITS,
  acceptRoot,
  acceptSnapshot,
  acceptTargets,
  acceptTimestamp,
  finishRoot,
  instant,
  openRoot,
  snapshotFile,
  targetsFile,
  TARGETS,
  tufCodec,
  type AfterTargets,
} from '../../../tuf/index.ts'
import { REPO, type TestServer } from './app.ts'
import { signRoot, type Owner } from './party.ts'

/** What a client trusts that starts from one of the server's roots and walks the whole workflow. */
export async function fetchTrusted(server: TestServer, owner: Owner, from?: number): Promise<AfterTargets> {
  const get = async (name: string): Promise<Uint8Array | undefined> => {
    const answer = await server.get(`/v2/${REPO}/_trust/tuf/${name}`)
    if (answer.statusCode === 404) return undefined
    if (answer.statusCode !== 200) throw new Error(`${name}: ${answer.body}`)
    return answer.rawPayload
  }
  const must = async (name: string) => (await get(name)) ?? new Uint8Array()
  const judge = { codec: tufCodec, suite: nativeSuite, limits: DEFAULT_LIMITS, now: instant(server.clock.now) }
  let trust = openRoot(judge, from === undefined ? await signRoot(owner) : await must(`${from}.root.json`))
  for (;;) {
    const next = await get(`${trust.root.version + 1}.root.json`)
    if (next === undefined) break
    trust = acceptRoot(trust, next)
  }
  const afterTimestamp = acceptTimestamp(finishRoot(trust), await must('timestamp.json'))
  const afterSnapshot = acceptSnapshot(afterTimestamp, await must(snapshotFile(afterTimestamp).name))
  return acceptTargets(afterSnapshot, await must(targetsFile(afterSnapshot, TARGETS).name))
}
