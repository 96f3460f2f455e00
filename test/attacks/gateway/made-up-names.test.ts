/** Clients that ask for what nobody ever heard of, under ever new names: none of it is remembered for ever. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { openAdmission } from '../../../client/gateway/admission.ts'
import type { Ask } from '../../../client/gateway/admission.ts'
import { openManifests } from '../../../client/gateway/manifests.ts'
import { openStore } from '../../../client/gateway/store.ts'
import { openUpstreams } from '../../../client/gateway/upstreams.ts'
import { monotonicNow } from '../../../client/monotonic.ts'
import { loadPolicy } from '../../../client/policy/policy.ts'
import { openRegistry } from '../../../client/registry/registry.ts'
import { parseRepo } from '../../../client/registry/reference.ts'
import { memoryCache } from '../../../client/trust/memory-cache.ts'
import { openRepository } from '../../../client/trust/repository.ts'
import { openVerdicts } from '../../../client/verdict/engine.ts'
import { REPOSITORY_FIELD } from '../../../tuf/model/repository.ts'
import { openLab } from '../../support/attack-lab.ts'
import { NAME } from '../../support/gateway-lab.ts'
import { heldBytes } from '../../support/held-bytes.ts'
import { sha256 } from '../../support/images.ts'

const MIB = 1024 * 1024
/** After so many nothing more is to be remembered, and then so many more come. */
const [BEFORE, MORE] = [5000, 14_000]

const lab = await openLab({ unknown: new Map([[REPOSITORY_FIELD, NAME]]) }, NAME)
const folder = await mkdtemp(join(tmpdir(), 'tagseal-names-'))
await writeFile(join(folder, 'root.json'), lab.simulator.anchor())
const path = join(folder, 'policy.yaml')
const rules = `
  - pattern: registry.test/open/**
    unsigned: true
  - pattern: ${NAME}
    pin: { root: root.json }
    server: ${lab.url}`
await writeFile(path, `version: 1\nrules:${rules}\n`)
const policy = loadPolicy(path, [])
lab.simulator.sign({}) // no tag, so that nothing is looked for below one
const verdicts = openVerdicts({
  policy,
  open: async (repository, { pin, server = '' }) => openRepository({ repository, pin, server, cache: memoryCache() }),
  background: false,
  clock: Date.now,
  monotonic: monotonicNow,
  signal: AbortSignal.timeout(300_000),
})
t.teardown(async () => {
  verdicts.close()
  await lab.close()
  await rm(folder, { recursive: true, force: true })
})
const admission = openAdmission({
  verdicts,
  manifests: openManifests(await openStore(join(folder, 'cache'), MIB)),
  upstreams: openUpstreams(async () => openRegistry({})),
  monotonic: monotonicNow,
})
const askOf = (name: string): Ask => ({ repository: parseRepo(name), rule: policy.ruleFor(name) })
const digestOf = (i: number) => sha256(Buffer.from(`${i}`))

const CASES: Record<string, (i: number) => Promise<unknown>> = {
  'repositories that are none': async (i) => await admission.blob(askOf(`registry.test/open/x${i}`), digestOf(i)),
  'digests that nobody signed': async (i) => await admission.manifest(askOf(NAME), digestOf(i)),
}
for (const [name, ask] of Object.entries(CASES)) {
  await t.test(`asking for ever new ${name} takes no memory for good, and goes on as quickly`, async (t) => {
    const refused = async (i: number) => await t.rejects(ask(i), { code: /^(?:UNKNOWN_BLOB|DIGEST_NOT_SIGNED)$/ })
    await refused(-1)
    for (let i = 0; i < BEFORE; i++) await ask(i).catch(() => undefined)
    const before = heldBytes().objects
    let failures = 0
    for (let i = 0; i < MORE; i++) await ask(BEFORE + i).catch(() => (failures += 1))
    const more = heldBytes().objects - before
    t.equal(failures, MORE)
    t.ok(more < 3.5 * MIB, `${(more / MIB).toFixed(1)} MiB`)
  })
}
