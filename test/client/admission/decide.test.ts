import t from 'tap'
import { digestOf, openAdmissionLab, REPOSITORY } from '../../support/admission-lab.ts'
import type { AdmissionLab } from '../../support/admission-lab.ts'
import { pod, reviewOf, UID, workload } from '../../support/reviews.ts'
import type { KubeObject, ReviewOptions } from '../../support/reviews.ts'

const SIGNED = `${REPOSITORY}:1.0`
const PINNED = `${SIGNED}@${digestOf('one')}`
const EARLIER = `${REPOSITORY}:stable@${digestOf('older')}`
const NOW = `${REPOSITORY}:stable@${digestOf('newer')}`
const OPEN = 'registry.example.com/open/tool:3'
const OWNED = {
  ownerReferences: [{ apiVersion: 'apps/v1', kind: 'Deployment', name: 'x', uid: 'u', controller: true }],
}

/** `stable` moved on from older to newer; `gone` was taken out. */
async function openSigned(options: Parameters<typeof openAdmissionLab>[0] = {}): Promise<AdmissionLab> {
  const lab = await openAdmissionLab(options)
  lab.sign({ '1.0': 'one', stable: 'older', gone: 'gone' })
  lab.sign({ stable: 'newer' })
  lab.simulator.publishTargets({ remove: new Set(['gone']) })
  lab.simulator.release()
  return lab
}

const lab = await openSigned({ top: 'workloads: [rollouts.argoproj.io]' })
const lenient = await openSigned({ signedOnce: true })
t.teardown(async () => await Promise.all([lab.close(), lenient.close()]))

const KINDS: Record<string, { object: (image: string) => KubeObject; pointer: string; resource?: string }> = {
  Pod: { object: (image) => pod(image), pointer: '/spec' },
  ReplicationController: {
    object: (image) => workload('v1', 'ReplicationController', image),
    pointer: '/spec/template/spec',
  },
  Deployment: { object: (image) => workload('apps/v1', 'Deployment', image), pointer: '/spec/template/spec' },
  ReplicaSet: { object: (image) => workload('apps/v1', 'ReplicaSet', image), pointer: '/spec/template/spec' },
  StatefulSet: { object: (image) => workload('apps/v1', 'StatefulSet', image), pointer: '/spec/template/spec' },
  DaemonSet: { object: (image) => workload('apps/v1', 'DaemonSet', image), pointer: '/spec/template/spec' },
  Job: { object: (image) => workload('batch/v1', 'Job', image), pointer: '/spec/template/spec' },
  CronJob: {
    object: (image) => workload('batch/v1', 'CronJob', image),
    pointer: '/spec/jobTemplate/spec/template/spec',
  },
  PodTemplate: {
    object: (image) => ({
      apiVersion: 'v1',
      kind: 'PodTemplate',
      metadata: {},
      template: { spec: pod(image)['spec'] },
    }),
    pointer: '/template/spec',
  },
  'a kind that the policy lists': {
    object: (image) => workload('argoproj.io/v1alpha1', 'Rollout', image),
    pointer: '/spec/template/spec',
  },
}
for (const [name, { object, pointer }] of Object.entries(KINDS)) {
  await t.test(`${name}: a signed tag gets its digest, and nothing else passes`, async (t) => {
    const mutated = await lab.ask('mutate', reviewOf(object(SIGNED)))
    t.match(mutated, { allowed: true, uid: UID, reason: 'ADMITTED', annotations: { images: PINNED } })
    t.same(mutated.patches, { [`${pointer}/containers/0/image`]: PINNED })
    t.match(await lab.ask('validate', reviewOf(object(SIGNED))), {
      allowed: false,
      reason: 'DIGEST_MISSING',
      code: 403,
    })
    t.match(await lab.ask('validate', reviewOf(object(PINNED))), { allowed: true })
    for (const task of ['mutate', 'validate'] as const) {
      const refused = await lab.ask(task, reviewOf(object(`${REPOSITORY}:unsigned`)))
      t.match(refused, { allowed: false, reason: 'TAG_NOT_SIGNED', code: 403 })
      t.same(refused.patches, {})
      const place = pointer.slice(1).replaceAll('/', '.')
      t.match(refused.message, `tagseal: ${place}.containers.0: `, 'the message says where')
      t.match(refused.message, /\(TAG_NOT_SIGNED\); hint: /, 'and what it is called, and what to do next')
    }
    t.match(await lab.ask('mutate', reviewOf(object(SIGNED), { operation: 'DELETE' })), { reason: 'DELETED' })
  })
}

await t.test('images of every list and volume get digests, in one answer', async (t) => {
  const lists = { containers: { a: SIGNED }, initContainers: { b: SIGNED }, ephemeralContainers: { c: SIGNED } }
  const { patches } = await lab.ask('mutate', reviewOf(pod({ ...lists, volumes: { d: SIGNED } })))
  t.same(patches, {
    '/spec/containers/0/image': PINNED,
    '/spec/initContainers/0/image': PINNED,
    '/spec/ephemeralContainers/0/image': PINNED,
    '/spec/volumes/0/image/reference': PINNED,
  })
})

type Case = ReviewOptions & {
  readonly object: KubeObject
  readonly task?: 'mutate' | 'validate'
  readonly in?: AdmissionLab
  readonly refused?: string
  readonly reason?: string
  /** Patched to, at the first container. */
  readonly to?: string
}
const update = { operation: 'UPDATE' } as const
const deployment = (image: string, metadata: object = {}) => workload('apps/v1', 'Deployment', image, metadata)
const replicas = (image: string, metadata: object = OWNED) => workload('apps/v1', 'ReplicaSet', image, metadata)

const CASES: Record<string, Case> = {
  'a digest that the tag means': { object: pod(PINNED), task: 'validate', reason: 'ADMITTED' },
  'a digest alone that a signed tag means': { object: pod(`${REPOSITORY}@${digestOf('one')}`), reason: 'ADMITTED' },
  'a digest alone that none means': { object: pod(`${REPOSITORY}@${digestOf('x')}`), refused: 'DIGEST_NOT_SIGNED' },
  'a digest that another tag means': {
    object: pod(`${REPOSITORY}:1.0@${digestOf('newer')}`),
    refused: 'DIGEST_DIFFERS',
  },
  'a digest that the tag meant before': { object: pod(EARLIER), refused: 'DIGEST_DIFFERS' },
  'a digest that the tag meant before, where the policy lets it stay': {
    object: pod(EARLIER),
    in: lenient,
    reason: 'ADMITTED',
  },
  'a digest whose tag was revoked, where the policy lets earlier ones stay': {
    object: pod(`${REPOSITORY}:gone@${digestOf('gone')}`),
    in: lenient,
    refused: 'TAG_NOT_SIGNED',
  },
  'an image that need not be signed, as it is': { object: pod(OPEN), task: 'validate', reason: 'ADMITTED' },
  'an image that a rule refuses': { object: pod('registry.example.com/never/x:1'), refused: 'REFUSED_BY_RULE' },
  'an image that no rule speaks of': { object: pod('nginx'), refused: 'NO_RULE' },
  'a pod without images': { object: pod({}), reason: 'NO_IMAGE' },
  'a template whose image another webhook will write': { object: deployment(''), reason: 'NO_IMAGE' },
  'an update that changes no image, though the tag has moved': {
    object: deployment(EARLIER, { labels: { a: 'b' } }),
    ...update,
    before: deployment(EARLIER),
    reason: 'UNCHANGED',
  },
  'an update that changes no image, though it was never signed': {
    object: deployment('nginx', { finalizers: [] }),
    ...update,
    before: deployment('nginx'),
    task: 'validate',
    reason: 'UNCHANGED',
  },
  'an update that writes the tag again over its digest, which it means no more': {
    object: deployment(`${REPOSITORY}:stable`),
    ...update,
    before: deployment(EARLIER),
    to: NOW,
  },
  'an update back to a digest that the tag means no more': {
    object: deployment(EARLIER),
    ...update,
    before: deployment(NOW),
    refused: 'DIGEST_DIFFERS',
  },
  'an update that changes an image to one that is not signed': {
    object: deployment(`${REPOSITORY}:unsigned`),
    ...update,
    before: deployment(PINNED),
    refused: 'TAG_NOT_SIGNED',
  },
  'what a controller made, as the controller made it': { object: replicas(SIGNED), reason: 'ADMITTED' },
  'what a controller made, though it names no digest': {
    object: replicas(SIGNED),
    task: 'validate',
    reason: 'ADMITTED',
  },
  'what a controller made of an image that is not signed': {
    object: replicas(`${REPOSITORY}:unsigned`),
    refused: 'TAG_NOT_SIGNED',
  },
  'a pod that a controller made': { object: pod(SIGNED, OWNED), to: PINNED },
  'a pod that a controller made, without a digest': {
    object: pod(SIGNED, OWNED),
    task: 'validate',
    refused: 'DIGEST_MISSING',
  },
  'what somebody owns without making it': {
    object: replicas(SIGNED, { ownerReferences: [{ ...OWNED.ownerReferences[0], controller: false }] }),
    task: 'validate',
    refused: 'DIGEST_MISSING',
  },
  'another number of replicas': {
    object: { apiVersion: 'autoscaling/v1', kind: 'Scale', metadata: { name: 'x', namespace: 'team' }, spec: {} },
    ...update,
    before: { apiVersion: 'autoscaling/v1', kind: 'Scale', metadata: { name: 'x', namespace: 'team' }, spec: {} },
    resource: 'deployments',
    group: 'apps',
    subResource: 'scale',
    reason: 'NO_IMAGE',
  },
  'a status': { object: pod('nginx'), ...update, before: pod('nginx'), subResource: 'status', reason: 'NO_IMAGE' },
  'a trial that changes nothing': { object: pod(SIGNED), dryRun: true, to: PINNED },
}
for (const [name, { object, task = 'mutate', in: inLab = lab, refused, reason, to, ...options }] of Object.entries(
  CASES,
)) {
  await t.test(`${refused === undefined ? 'admits' : 'refuses'} ${name}`, async (t) => {
    const asked = await inLab.ask(task, reviewOf(object, options))
    if (refused !== undefined) t.match(asked, { allowed: false, reason: refused })
    else t.match(asked, { allowed: true, reason: reason ?? 'ADMITTED' })
    t.same(Object.values(asked.patches), to === undefined ? [] : [to])
  })
}

await t.test('an earlier digest is admitted with a warning that fits', async (t) => {
  const { warnings } = await lenient.ask('validate', reviewOf(pod(EARLIER)))
  t.same(warnings, ['tagseal: app:stable means another digest by now; this one was signed earlier'])
  const many = Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`c${i}`, EARLIER]))
  const answer = await lenient.ask('validate', reviewOf(pod({ containers: many })))
  t.equal(answer.warnings.length, 8)
  t.ok(answer.warnings.every((warning) => warning.length <= 121))
})

await t.test('every image that is refused is named, and a no outweighs what could not be found out', async (t) => {
  const two = pod({ containers: { a: 'nginx', b: SIGNED }, initContainers: { c: `${REPOSITORY}:unsigned` } })
  const { message, reason } = await lab.ask('mutate', reviewOf(two))
  t.match(message, /containers\.0: .*NO_RULE.* \| spec\.initContainers\.0: .*TAG_NOT_SIGNED/)
  t.equal(reason, 'NO_RULE')
})

await t.test('the names of Docker Hub are written as they were judged', async (t) => {
  const hub =
    '  - pattern: docker.io/library/nginx\n    pin: { root: root.json }\n    server: https://trust.example.com\n'
  const own = await openAdmissionLab({ rules: hub })
  t.teardown(own.close)
  own.sign({ latest: 'nginx' })
  const { patches } = await own.ask('mutate', reviewOf(pod('nginx')))
  t.same(Object.values(patches), [`docker.io/library/nginx:latest@${digestOf('nginx')}`])
})
