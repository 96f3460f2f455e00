/** Having the gateway say with its own key, for engines that check by themselves, what no signature of a tag says. */
import { createPublicKey, verify } from 'node:crypto'
import t from 'tap'
import type { Test } from 'tap'
import { generateKey } from '../../../keys/native/generate.ts'
import type { Signer } from '../../../keys/signer.ts'
import { NAME, openGatewayLab } from '../../support/gateway-lab.ts'
import type { GatewayLab, GatewayLabOptions } from '../../support/gateway-lab.ts'
import { buildImage, buildIndex, json, sha256, stored } from '../../support/images.ts'
import type { BuiltImage, Stored } from '../../support/images.ts'

const key = await generateKey('ecdsa-p256')
const spki = createPublicKey({ key: Buffer.from(key.public.spki), format: 'der', type: 'spki' })
const MAX_AGE = 2000

type Layer = { readonly digest: string; readonly size: number; readonly annotations: Readonly<Record<string, string>> }
type Manifest = { readonly config: Layer; readonly layers: readonly Layer[] }

const image = (text: string) => buildImage({ layers: [{ text }] })
const [good, next, open] = [image('good'), image('next'), image('open')]
const multi = buildIndex()
const [child, other] = multi.images
const attachment = ({ digest }: { readonly digest: string }, name = NAME) =>
  `/v2/${name}/manifests/${digest.replace(':', '-')}.sig`
const layerOf = ({ layers: [layer] }: BuiltImage): Stored => layer ?? good.config

async function labOf(t: Test, options: GatewayLabOptions = {}): Promise<GatewayLab> {
  const lab = await openGatewayLab({
    rule: `    maxAge: ${MAX_AGE / 1000}s\n    signedOnce: true`,
    bridge: [key],
    ...options,
  })
  t.teardown(lab.close)
  for (const built of [good, next, open, multi]) lab.registry.serve(built)
  return lab
}

/** What is said with the key of the gateway: from the name in each statement to the digest; each is verified. */
async function said(lab: GatewayLab, path: string): Promise<Readonly<Record<string, string>>> {
  const got = await lab.get(path)
  if (got.status !== 200) return { [got.reason ?? '']: String(got.status) }
  const { layers } = JSON.parse(got.bytes.toString()) as Manifest
  const all: Record<string, string> = {}
  for (const { digest, size, annotations } of layers) {
    const { bytes, status } = await lab.get(`/v2/${NAME}/blobs/${digest}`)
    if (status !== 200 || sha256(bytes) !== digest || bytes.length !== size) throw new Error('no such payload')
    const signature = Buffer.from(annotations['dev.cosignproject.cosign/signature'] ?? '', 'base64')
    if (!verify('sha256', bytes, spki, signature)) throw new Error('no such signature')
    const { critical } = JSON.parse(bytes.toString()) as {
      critical: { identity: Record<string, string>; image: Record<string, string>; type: string }
    }
    if (critical.type !== 'cosign container image signature') throw new Error(critical.type)
    all[critical.identity['docker-reference'] ?? ''] = critical.image['docker-manifest-digest'] ?? ''
  }
  return all
}

await t.test('every tag that means a digest now is said, under its name in the policy', async (t) => {
  const lab = await labOf(t)
  lab.sign({ '1.0': good.manifest, latest: good.manifest, '2.0': next.manifest })
  const { digest } = good.manifest
  t.same(await said(lab, attachment(good.manifest)), { [`${NAME}:1.0`]: digest, [`${NAME}:latest`]: digest })
  t.same(await said(lab, attachment(good.manifest, 'team/app')), {
    [`${NAME}:1.0`]: digest,
    [`${NAME}:latest`]: digest,
  })
  const got = await lab.get(attachment(good.manifest))
  t.equal(got.headers.get('cache-control'), 'no-store', 'and nobody between keeps it for later')
  t.equal(got.headers.get('content-type'), 'application/vnd.oci.image.manifest.v1+json')
  const { config } = JSON.parse(got.bytes.toString()) as Manifest
  t.equal((await lab.get(`/v2/${NAME}/blobs/${config.digest}`)).bytes.toString(), '{}')
  const [payload] = (JSON.parse(got.bytes.toString()) as Manifest).layers
  const elsewhere = await lab.get(`/v2/registry.test/team/else/blobs/${payload?.digest}`)
  t.equal(elsewhere.status, 403, 'and what is said in one repository is nothing for another')
  const head = await lab.get(attachment(good.manifest), { method: 'HEAD' })
  t.same([head.status, head.headers.get('docker-content-digest'), head.bytes.length], [200, sha256(got.bytes), 0])
  const tags = (await lab.get(`/v2/${NAME}/tags/list`)).bytes.toString()
  t.notMatch(tags, /\.sig/)
  t.match(
    lab.log.findLast(({ by }) => by === 'bridge'),
    { outcome: 'admitted', tags: ['1.0', 'latest'] },
  )
})

await t.test('an image below a signed index is said to be the tag of the index', async (t) => {
  const lab = await labOf(t)
  lab.sign({ multi: multi.index })
  if (child === undefined || other === undefined) throw new Error('no children')
  t.same(await said(lab, attachment(child.manifest)), { [`${NAME}:multi`]: child.manifest.digest }, 'unasked before')
  t.same((await lab.get(`/v2/${NAME}/manifests/multi`)).status, 200)
  t.same(await said(lab, attachment(other.manifest)), { [`${NAME}:multi`]: other.manifest.digest })
  t.same(await said(lab, attachment(multi.index)), { [`${NAME}:multi`]: multi.index.digest })
})

type Change = { readonly was: Stored; readonly change: (lab: GatewayLab) => void; readonly admitted: boolean }
const CHANGES: Record<string, Change> = {
  'a tag that moved on, although its digest is admitted still': {
    was: good.manifest,
    change: (lab) => lab.sign({ '1.0': next.manifest }),
    admitted: true,
  },
  'a tag whose index moved on': {
    was: multi.index,
    change: (lab) => lab.sign({ '1.0': next.manifest }),
    admitted: true,
  },
  'a tag that was revoked': {
    was: good.manifest,
    change({ lab: { simulator } }) {
      simulator.publishTargets({ remove: new Set(['1.0']) })
      simulator.release()
    },
    admitted: false,
  },
}
for (const [name, { was, change, admitted }] of Object.entries(CHANGES)) {
  await t.test(`nothing is said of ${name}`, async (t) => {
    const lab = await labOf(t)
    lab.sign({ '1.0': was })
    t.equal((await lab.get(`/v2/${NAME}/manifests/1.0`)).status, 200, 'which was pulled before')
    t.same(await said(lab, attachment(was)), { [`${NAME}:1.0`]: was.digest })
    change(lab)
    lab.pass(MAX_AGE)
    t.same(await said(lab, attachment(was)), { DIGEST_NOT_SIGNED: '403' })
    t.equal((await lab.get(`/v2/${NAME}/manifests/${was.digest}`)).status, admitted ? 200 : 403)
  })
}

await t.test('what is signed no more is not said although the digest has another tag', async (t) => {
  const lab = await labOf(t)
  lab.sign({ '1.0': good.manifest, '1.1': good.manifest })
  t.equal(Object.keys(await said(lab, attachment(good.manifest))).length, 2)
  lab.sign({ '1.0': next.manifest, '1.1': good.manifest })
  lab.pass(MAX_AGE)
  t.same(await said(lab, attachment(good.manifest)), { [`${NAME}:1.1`]: good.manifest.digest })
})

await t.test('nothing is said of what is no image under a signed tag', async (t) => {
  const lab = await labOf(t)
  lab.sign({ '1.0': good.manifest })
  t.equal((await lab.get(`/v2/${NAME}/manifests/1.0`)).status, 200)
  const UNSAID: Record<string, string> = {
    'a layer': attachment(layerOf(good)),
    'a config': attachment(good.config),
    'an image that nobody signed': attachment(open.manifest),
    'nothing at all': attachment({ digest: `sha256:${'0'.repeat(64)}` }),
  }
  for (const [name, path] of Object.entries(UNSAID)) {
    t.same(await said(lab, path), { DIGEST_NOT_SIGNED: '403' }, name)
    t.match((await lab.get(path)).bytes.toString(), /"message":"tagseal: no signed tag of /)
  }
  t.same(await said(lab, attachment(good.manifest, 'registry.test/team/else')), { REPOSITORY_MISMATCH: '403' })
  t.same(await said(lab, attachment(good.manifest, 'evil.io/team/app')), { REGISTRY_NOT_ALLOWED: '403' })
  t.same(await said(lab, attachment({ digest: `sha256:${'A'.repeat(64)}` })), { TAG_NOT_SIGNED: '403' })
})

await t.test('what somebody put beside an image in the registry is given to nobody', async (t) => {
  const lab = await labOf(t)
  lab.sign({ '1.0': good.manifest })
  const forged = json('application/vnd.oci.image.manifest.v1+json', { forged: true })
  lab.registry.put(forged)
  for (const { manifest } of [good, open]) lab.registry.tag(`${manifest.digest.replace(':', '-')}.sig`, forged)
  await said(lab, attachment(open.manifest)) // what is signed has been gone down from
  lab.registry.lie()
  t.same(await said(lab, attachment(good.manifest)), { [`${NAME}:1.0`]: good.manifest.digest })
  t.same(await said(lab, attachment(open.manifest)), { DIGEST_NOT_SIGNED: '403' })
  t.same(lab.registry.asked, [], 'and the registry is not even asked')
})

await t.test('without a key nothing is said, and with one nothing where nothing has to be signed', async (t) => {
  const without = await labOf(t, { bridge: [] })
  without.sign({ '1.0': good.manifest })
  t.same(await said(without, attachment(good.manifest)), { NO_BRIDGE_KEY: '403' })
  const lab = await labOf(t)
  lab.sign({ '1.0': good.manifest })
  t.same(await said(lab, attachment(good.manifest, 'registry.test/open/app')), { UNKNOWN_MANIFEST: '404' })
  const own = stored('application/vnd.oci.image.manifest.v1+json', open.manifest.bytes)
  lab.registry.tag(`${open.manifest.digest.replace(':', '-')}.sig`, own)
  const got = await lab.get(attachment(open.manifest, 'registry.test/open/app'))
  t.same([got.status, sha256(got.bytes)], [200, own.digest], 'there it is the one of the registry')
})

await t.test('an old state says nothing: not once it is too old, nor once it expired', async (t) => {
  const lab = await labOf(t)
  lab.sign({ '1.0': good.manifest })
  t.equal(Object.keys(await said(lab, attachment(good.manifest))).length, 1)
  lab.lab.interfere = (_file, response) => {
    response.writeHead(503).end()
    return true
  }
  lab.pass(MAX_AGE)
  t.same(await said(lab, attachment(good.manifest)), { SERVER_ERROR: '503' })
  lab.lab.interfere = () => false
  lab.pass(lab.lab.simulator.timestamp.expires - Date.now() - lab.time.wall + 1000)
  t.same(await said(lab, attachment(good.manifest)), { EXPIRED: '403' })
})

/** A token that somebody has to touch. */
function slowKey(): { readonly signer: Signer; touch: (error?: Error) => void; readonly asked: () => number } {
  let [asked, touch]: [number, (error?: Error) => void] = [0, () => undefined]
  const signer: Signer = {
    public: key.public,
    close: () => undefined,
    async sign(payload) {
      asked += 1
      await new Promise<void>((resolve, reject) => {
        touch = (error) => (error === undefined ? resolve() : reject(error))
      })
      return await key.sign(payload)
    },
  }
  return { signer, touch: (error) => touch(error), asked: () => asked }
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5))
}

await t.test('a tag that moves on while a token is waited for is not said any more', async (t) => {
  const slow = slowKey()
  const lab = await labOf(t, { bridge: [slow.signer] })
  lab.sign({ '1.0': good.manifest })
  const asked = said(lab, attachment(good.manifest))
  await until(() => slow.asked() === 1)
  lab.sign({ '1.0': next.manifest })
  lab.pass(MAX_AGE)
  slow.touch()
  t.same(await asked, { DIGEST_NOT_SIGNED: '403' })
})

await t.test('a token signs once for all who ask, and is asked again when it failed', async (t) => {
  const slow = slowKey()
  const lab = await labOf(t, { bridge: [slow.signer] })
  lab.sign({ '1.0': good.manifest })
  const failing = said(lab, attachment(good.manifest))
  await until(() => slow.asked() === 1)
  slow.touch(new Error('somebody took it out'))
  t.same(await failing, { INTERNAL: '500' })
  const all = Promise.all(Array.from({ length: 20 }, () => said(lab, attachment(good.manifest))))
  await until(() => slow.asked() === 2)
  slow.touch()
  for (const one of await all) t.same(one, { [`${NAME}:1.0`]: good.manifest.digest })
  t.equal(slow.asked(), 2)
})

await t.test('of a digest with very many tags, the one that was asked for is among those that are said', async (t) => {
  const lab = await labOf(t)
  lab.sign(Object.fromEntries(Array.from({ length: 300 }, (_, at) => [`t${at}`, good.manifest])))
  t.equal((await lab.get(`/v2/${NAME}/manifests/t299`)).status, 200)
  const all = await said(lab, attachment(good.manifest))
  t.equal(Object.keys(all).length, 128)
  t.ok(Object.hasOwn(all, `${NAME}:t299`))
})

await t.test('a gateway gives out what another one behind the same address said', async (t) => {
  const lab = await labOf(t)
  lab.sign({ multi: multi.index, '1.0': good.manifest })
  if (child === undefined) throw new Error('no child')
  const { layers } = JSON.parse((await lab.get(attachment(child.manifest))).bytes.toString()) as Manifest
  await lab.restart()
  const [payload] = layers
  const got = await lab.get(`/v2/${NAME}/blobs/${payload?.digest}`)
  t.same([got.status, sha256(got.bytes)], [200, payload?.digest])
  const none = await lab.get(`/v2/${NAME}/blobs/sha256:${'0'.repeat(64)}`)
  t.same([none.status, none.reason], [403, 'DIGEST_NOT_SIGNED'])
  const elsewhere = await lab.get(`/v2/registry.test/team/else/blobs/${payload?.digest}`)
  t.equal(elsewhere.status, 403, 'and in no other repository')
})

await t.test('two keys say the same, so that one can follow the other', async (t) => {
  const second = await generateKey('ecdsa-p256')
  t.teardown(() => second.close())
  const lab = await labOf(t, { bridge: [second, key] })
  lab.sign({ '1.0': good.manifest })
  const { layers } = JSON.parse((await lab.get(attachment(good.manifest))).bytes.toString()) as Manifest
  const [one, two] = layers
  t.equal(one?.digest, two?.digest)
  t.strictNotSame(one?.annotations, two?.annotations)
})
