/** Ways around the webhook, by name. Whoever asks has an image that nobody signed. */
import { request } from 'node:http'
import type { ClientRequest } from 'node:http'
import t from 'tap'
import { digestOf, openAdmissionLab, readAnswer, REPOSITORY } from '../support/admission-lab.ts'
import { pod, podSpec, reviewOf, UID, workload } from '../support/reviews.ts'
import type { KubeObject, ReviewOptions } from '../support/reviews.ts'

const SIGNED = `${REPOSITORY}:1.0`
const PINNED = `${SIGNED}@${digestOf('one')}`
const EVIL = `${REPOSITORY}:evil`
const lab = await openAdmissionLab({ top: 'workloads: [rollouts.argoproj.io]' })
lab.sign({ '1.0': 'one', '2.0': 'two' })
t.teardown(lab.close)

type Attack = ReviewOptions & { readonly object: KubeObject; readonly refused: string }
const update = { operation: 'UPDATE' } as const
const ephemeral = { ...update, subResource: 'ephemeralcontainers', name: 'x' } as const
const named = { name: 'x', uid: 'u1' }
const running = pod(PINNED, named)
const owned = (controller: object) => ({
  ownerReferences: [{ kind: 'Deployment', name: 'x', uid: 'u', ...controller }],
})
const list = (kind: string, item: object): KubeObject =>
  ({ apiVersion: 'v1', kind, metadata: {}, items: [item] }) as const
const spec = (more: object): KubeObject => ({ ...pod(SIGNED), spec: more })

const ATTACKS: Record<string, Attack> = {
  'an ephemeral container in a running pod': {
    object: pod({ containers: { app: PINNED }, ephemeralContainers: { debug: EVIL } }, named),
    ...ephemeral,
    before: running,
    refused: 'TAG_NOT_SIGNED',
  },
  'an ephemeral container that is there from the beginning': {
    object: pod({ containers: { app: PINNED }, ephemeralContainers: { debug: EVIL } }),
    refused: 'TAG_NOT_SIGNED',
  },
  'an init container': {
    object: pod({ containers: { a: PINNED }, initContainers: { b: EVIL } }),
    refused: 'TAG_NOT_SIGNED',
  },
  'an image as a volume': {
    object: pod({ containers: { a: PINNED }, volumes: { v: EVIL } }),
    refused: 'TAG_NOT_SIGNED',
  },
  'a deployment of no replicas, to be scaled later': {
    object: {
      ...workload('apps/v1', 'Deployment', EVIL),
      spec: { replicas: 0, template: { spec: podSpec({ containers: { a: EVIL } }) } },
    },
    refused: 'TAG_NOT_SIGNED',
  },
  'a kind that nobody spoke of, with a template in it': {
    object: workload('evil.example.com/v1', 'Widget', EVIL),
    refused: 'KIND_NOT_NAMED',
  },
  'a kind of the name of a known one, of another group': {
    object: workload('evil.example.com/v1', 'Pod', EVIL),
    refused: 'KIND_NOT_NAMED',
  },
  'a known kind in a version that nobody knows': {
    object: workload('apps/v2', 'Deployment', EVIL),
    refused: 'KIND_NOT_NAMED',
  },
  'a listed kind, deep in what it is made of': {
    object: {
      apiVersion: 'argoproj.io/v1',
      kind: 'Rollout',
      steps: [{ a: [{ b: podSpec({ initContainers: { x: EVIL } }) }] }],
    },
    refused: 'TAG_NOT_SIGNED',
  },
  'a list of objects': { object: list('List', pod(EVIL)), refused: 'KIND_NOT_NAMED' },
  'a list of pods, called pods': { object: list('PodList', pod(EVIL)), resource: 'pods', refused: 'KIND_NOT_NAMED' },
  'a pod that says it is a config map': {
    object: { ...pod(EVIL), kind: 'ConfigMap' },
    resource: 'pods',
    refused: 'KIND_NOT_NAMED',
  },
  'a request for a pod with a deployment in it': {
    object: workload('apps/v1', 'Deployment', EVIL),
    more: { kind: { group: '', version: 'v1', kind: 'Pod' }, resource: { group: '', version: 'v1', resource: 'pods' } },
    refused: 'REVIEW_MALFORMED',
  },
  'a pod under the name of another subresource': { object: pod(EVIL), subResource: 'evil', refused: 'KIND_NOT_NAMED' },
  'a pod that claims to be a scale': { object: pod(EVIL), subResource: 'scale', refused: 'KIND_NOT_NAMED' },
  'a pod that claims to be a binding': { object: pod(EVIL), subResource: 'binding', refused: 'KIND_NOT_NAMED' },
  'ephemeral containers of what is no pod': {
    object: workload('apps/v1', 'Deployment', EVIL),
    subResource: 'ephemeralcontainers',
    refused: 'KIND_NOT_NAMED',
  },
  'an update that shows no object before': { object: pod(EVIL), ...update, refused: 'REVIEW_MALFORMED' },
  'a creation that shows an object before': { object: pod(EVIL), before: pod(EVIL), refused: 'REVIEW_MALFORMED' },
  'an object before of another name': {
    object: pod(EVIL, { name: 'x' }),
    ...update,
    name: 'x',
    before: pod(EVIL, { name: 'y' }),
    refused: 'REVIEW_MALFORMED',
  },
  'an object before of another namespace': {
    object: pod(EVIL),
    ...update,
    before: pod(EVIL, { namespace: 'other' }),
    refused: 'REVIEW_MALFORMED',
  },
  'an object before of another life': {
    object: pod(EVIL, named),
    ...update,
    before: pod(EVIL, { ...named, uid: 'u2' }),
    refused: 'REVIEW_MALFORMED',
  },
  'an object before of another kind': {
    object: pod(EVIL),
    ...update,
    before: workload('apps/v1', 'Deployment', EVIL),
    refused: 'REVIEW_MALFORMED',
  },
  'an image that was there as an init container, and is to go on for ever': {
    object: pod({ containers: { app: EVIL } }),
    ...update,
    before: pod({ containers: { app: PINNED }, initContainers: { app: EVIL } }),
    refused: 'TAG_NOT_SIGNED',
  },
  'an image that was there under another name': {
    object: pod({ containers: { a: PINNED, b: EVIL } }),
    ...update,
    before: pod({ containers: { a: EVIL, b: PINNED } }),
    refused: 'TAG_NOT_SIGNED',
  },
  'an image that was there in a container without a name': {
    object: spec({ containers: [{ image: EVIL }] }),
    ...update,
    before: spec({ containers: [{ image: EVIL }] }),
    refused: 'TAG_NOT_SIGNED',
  },
  'a second container of the name of the first': {
    object: spec({
      containers: [
        { name: 'a', image: PINNED },
        { name: 'a', image: EVIL },
      ],
    }),
    ...update,
    before: spec({ containers: [{ name: 'a', image: PINNED }] }),
    refused: 'TAG_NOT_SIGNED',
  },
  'a child of an owner that was admitted': {
    object: pod(EVIL, owned({ controller: true })),
    refused: 'TAG_NOT_SIGNED',
  },
  'a template that says it was made by an owner': {
    object: workload('apps/v1', 'ReplicaSet', EVIL, owned({ controller: true })),
    refused: 'TAG_NOT_SIGNED',
  },
  'an object that is about to go away': {
    object: pod(EVIL, { deletionTimestamp: '2026-01-01T00:00:00Z' }),
    refused: 'TAG_NOT_SIGNED',
  },
  'an object of another namespace than its request': {
    object: pod(EVIL, { namespace: 'kube-system' }),
    refused: 'REVIEW_MALFORMED',
  },
  'an object of another name than its request': {
    object: pod(EVIL, { name: 'y' }),
    name: 'x',
    refused: 'REVIEW_MALFORMED',
  },
  'a generated name': { object: pod(EVIL, { generateName: 'x-' }), refused: 'TAG_NOT_SIGNED' },
  'an operation that there is none of': {
    object: pod(EVIL),
    more: { operation: 'PATCH' },
    refused: 'REVIEW_MALFORMED',
  },
  'a request without an object': { object: pod(EVIL), more: { object: null }, refused: 'REVIEW_MALFORMED' },
  'containers by name in the place of a list': {
    object: spec({ containers: { a: { name: 'a', image: EVIL } } }),
    refused: 'OBJECT_MALFORMED',
  },
  'a container that is a text': { object: spec({ containers: [EVIL] }), refused: 'OBJECT_MALFORMED' },
  'a pod that is a list': { object: { ...pod(EVIL), spec: [{ containers: [] }] }, refused: 'OBJECT_MALFORMED' },
  'an image that is a list': { object: pod({ containers: { a: [EVIL] } }), refused: 'OBJECT_MALFORMED' },
  'an image that is a number': { object: pod({ containers: { a: 1 } }), refused: 'OBJECT_MALFORMED' },
  'an image with a line break': { object: pod(`${SIGNED}\n`), refused: 'REFERENCE_INVALID' },
  'an image with a zero byte': { object: pod(`${SIGNED}\u0000${EVIL}`), refused: 'REFERENCE_INVALID' },
  'an image with a space before it': { object: pod(` ${SIGNED}`), refused: 'REFERENCE_INVALID' },
  'an image with letters of another script': { object: pod(SIGNED.replace('a', 'а')), refused: 'REFERENCE_INVALID' },
  'an image in upper case': { object: pod(SIGNED.toUpperCase()), refused: 'REFERENCE_INVALID' },
  'an image with two digests': { object: pod(`${PINNED}@${digestOf('x')}`), refused: 'REFERENCE_INVALID' },
  'an image with a digest of a kind that nobody checks': {
    object: pod(`${SIGNED}@md5:abc`),
    refused: 'REFERENCE_INVALID',
  },
  'an image of endless length': { object: pod(`${SIGNED}${'x'.repeat(5000)}`), refused: 'OBJECT_MALFORMED' },
  'a digest under the name of another tag': {
    object: pod(`${REPOSITORY}:2.0@${digestOf('one')}`),
    refused: 'DIGEST_DIFFERS',
  },
  'more images than anybody reads': {
    object: pod({ containers: Object.fromEntries(Array.from({ length: 1001 }, (_, i) => [`c${i}`, SIGNED])) }),
    refused: 'TOO_MANY_IMAGES',
  },
}
for (const [name, { object, refused, ...options }] of Object.entries(ATTACKS)) {
  await t.test(`refuses ${name}`, async (t) => {
    for (const task of ['mutate', 'validate'] as const) {
      const asked = await lab.ask(task, reviewOf(object, options))
      t.match(asked, { allowed: false, reason: refused, uid: UID })
      t.same(asked.patches, {})
      t.match(asked.message, /^tagseal: .+/)
      t.notMatch(asked.message, /\p{Cc}/u, 'and its words are one line')
      t.ok(asked.message.length < 1100)
    }
  })
}

await t.test('what only looks like a way around passes', async (t) => {
  const debug = pod({ containers: { app: PINNED }, ephemeralContainers: { debug: SIGNED } }, named)
  const added = await lab.ask('mutate', reviewOf(debug, { ...ephemeral, before: running }))
  t.same(added.patches, { '/spec/ephemeralContainers/0/image': PINNED })
  t.match(await lab.ask('mutate', reviewOf(pod(SIGNED, { generateName: 'x-', labels: { containers: 'yes' } }))), {
    allowed: true,
  })
  t.match(await lab.ask('mutate', reviewOf(pod(SIGNED), { operation: 'CONNECT', subResource: 'exec' })), {
    reason: 'NO_IMAGE',
  })
  const odd = `{"apiVersion":"argoproj.io/v1","kind":"Rollout","a/b~":{"__proto__":{"containers":[{"name":"x","image":"${SIGNED}"}]}}}`
  const review = JSON.stringify(reviewOf({ apiVersion: 'argoproj.io/v1', kind: 'Rollout' }))
  const { text } = await lab.post('/mutate', review.replace('{"apiVersion":"argoproj.io/v1","kind":"Rollout"}', odd))
  t.same(readAnswer(text).patches, { '/a~1b~0/__proto__/containers/0/image': PINNED })
})

const json = { 'content-type': 'application/json' }
const good = JSON.stringify(reviewOf(pod(SIGNED)))
const evil = JSON.stringify(reviewOf(pod(EVIL)))
const RAW: Record<
  string,
  { body: string | Uint8Array; headers?: Record<string, string>; path?: string; status: number }
> = {
  'an image that is there twice in one container': {
    body: evil.replace('"image":', `"image":"${PINNED}","image":`),
    status: 400,
  },
  'an object that is there twice': {
    body: evil.replace('"object":', `"object":${JSON.stringify(pod(PINNED))},"object":`),
    status: 400,
  },
  'a name that is there twice in two spellings': {
    body: evil.replace('"image":', '"im\\u0061ge":"x","image":'),
    status: 400,
  },
  'a review without an identifier': { body: good.replace(UID, ''), status: 400 },
  'an identifier that would write into the answer': { body: good.replace(UID, '\\"}'), status: 400 },
  'a review that is a list': { body: `[${good}]`, status: 400 },
  'two reviews in one': { body: good + good, status: 400 },
  'a review that ends early': { body: good.slice(0, -1), status: 400 },
  'text that is no UTF-8': {
    body: Buffer.concat([Buffer.from(good.slice(0, -1)), Buffer.from([0xff, 0x7d])]),
    status: 400,
  },
  'a nest without an end': { body: '['.repeat(100_000), status: 400 },
  'nothing at all': { body: '', status: 400 },
  'a form': { body: good, headers: { 'content-type': 'application/x-www-form-urlencoded' }, status: 400 },
  YAML: { body: good, headers: { 'content-type': 'application/yaml' }, status: 400 },
  'JSON in another charset': {
    body: good,
    headers: { 'content-type': 'application/json; charset=utf-16' },
    status: 400,
  },
  'a body that is packed': { body: good, headers: { ...json, 'content-encoding': 'gzip' }, status: 400 },
  'another path': { body: good, path: '/mutate/', status: 400 },
  'a path with an escape': { body: good, path: '/%6dutate', status: 400 },
}
for (const [name, { body, headers = json, path = '/validate', status }] of Object.entries(RAW)) {
  await t.test(`answers ${name} with ${status}, which refuses`, async (t) => {
    const answer = await lab.post(path, body, headers)
    t.equal(answer.status, status)
    t.notMatch(answer.text, /"allowed":true/)
    t.match(JSON.parse(answer.text), {
      kind: 'Status',
      status: 'Failure',
      code: status,
      reason: /^[A-Z_]+$/,
      message: /^tagseal: /,
    })
  })
}

const OLD: Record<string, string> = {
  'an older version of the review': good.replace('admission.k8s.io/v1"', 'admission.k8s.io/v1beta1"'),
  'an answer in the place of a question': good
    .replace('"request":{', '"request":{"operation":"NONE","x":{')
    .replace(/}$/, '}}'),
}
for (const [name, body] of Object.entries(OLD)) {
  await t.test(`refuses ${name}`, async (t) => {
    t.notMatch((await lab.post('/validate', body)).text, /"allowed":true/)
  })
}

/** The status, or the error of a connection that was ended under our hands; both are a no. */
async function sending(headers: Readonly<Record<string, string>>, write: (out: ClientRequest) => void) {
  return await new Promise<number | string | undefined>((resolve) => {
    const out = request(`${lab.url}/mutate`, { method: 'POST', headers: { ...json, ...headers } }, (answer) => {
      resolve(answer.statusCode)
      out.destroy()
    })
    out.on('error', (error: NodeJS.ErrnoException) => resolve(error.code))
    write(out)
  })
}

await t.test('a body that says how large it will be is refused before it comes', async (t) => {
  t.equal(await sending({ 'content-length': String(9 * 1024 * 1024) }, (out) => out.flushHeaders()), 413)
})

await t.test('a body that never ends is not read for ever', async (t) => {
  const before = lab.log.length
  const chunk = Buffer.alloc(1024 * 1024, ' ')
  const ended = await sending({}, (out) => {
    const more = () => {
      while (!out.destroyed && out.write(chunk)) continue
    }
    out.on('drain', more)
    more()
  })
  t.ok(
    [413, 'EPIPE', 'ECONNRESET'].some((one) => one === ended),
    String(ended),
  )
  t.match(lab.log.slice(before), [{ outcome: 'refused', reason: 'REVIEW_TOO_LARGE' }])
})

await t.test('with the trust server gone, answers end with their age, and are no refusal for ever', async (t) => {
  t.match(await lab.ask('mutate', reviewOf(pod(SIGNED))), { allowed: true })
  lab.setDown(true)
  lab.pass(60_000 * 60)
  t.match(await lab.ask('mutate', reviewOf(pod(SIGNED))), { allowed: false, code: 503, reason: 'NETWORK' })
  lab.setDown(false)
})
