import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { parseAllDocuments } from 'yaml'
import { tagsealHere } from '../../support/in-process.ts'
import { makeCertificate, whyNoOpenssl } from '../../support/tls.ts'

const skip = (await whyNoOpenssl()) ?? false
const IMAGE = `registry.example.com/tagseal@sha256:${'a'.repeat(64)}`
const POLICY = `version: 1
workloads: [rollouts.argoproj.io, jobsets.jobset.x-k8s.io]
rules:
  - pattern: registry.example.com/team/**
    pin: { root: root.json }
    server: https://trust.example.com
`

async function openFolder(t: Test) {
  const folder = t.testdir({ 'policy.yaml': POLICY, 'root.json': '{"a":"root"}', elsewhere: { 'root.json': '{}' } })
  const { ca, caText } = await makeCertificate(folder)
  const policy = join(folder, 'policy.yaml')
  const base = ['admission', '--manifests', '--policy', policy]
  const print = async (...more: readonly string[]) =>
    await tagsealHere([...base, ...more], { env: { TAGSEAL_HOME: join(folder, 'home') } })
  return { folder, policy, ca, caText, print, all: ['--image', IMAGE, '--ca-bundle', ca] }
}

type Named = { readonly name: string }
type Container = {
  readonly image: string
  readonly args: readonly string[]
  readonly env: readonly { readonly value: string }[]
  readonly ports: readonly { readonly containerPort: number }[]
  readonly readinessProbe: { readonly httpGet: { readonly port: number } }
  readonly securityContext: { readonly capabilities: object }
  readonly volumeMounts: readonly (Named & { readonly mountPath: string })[]
}
type Webhook = Named & {
  readonly rules: readonly object[]
  readonly admissionReviewVersions: readonly string[]
  readonly namespaceSelector: { readonly matchExpressions: readonly { readonly values: readonly string[] }[] }
  readonly objectSelector?: object
  readonly matchConditions?: object
  readonly clientConfig: { readonly service: object; readonly caBundle: string }
  readonly reinvocationPolicy?: string
}
/** As far as these tests look into it. */
type Doc = {
  readonly kind: string
  readonly metadata: Named & { readonly namespace?: string }
  readonly webhooks: readonly [Webhook]
  readonly data: object
  readonly spec: {
    readonly replicas: number
    readonly selector: { readonly matchLabels: object }
    readonly podSelector: { readonly matchLabels: object }
    readonly ports: readonly [{ readonly targetPort: number }]
    readonly template: {
      readonly metadata: { readonly labels: object }
      readonly spec: {
        readonly serviceAccountName: string
        readonly containers: readonly [Container]
        readonly volumes: readonly Named[]
      }
    }
  }
}

/** As kubectl reads it: every document well formed, no anchors. */
function readAll(text: string): ReadonlyMap<string, Doc> {
  const documents = parseAllDocuments(text, { uniqueKeys: true })
  if ('empty' in documents) throw new Error('nothing is there')
  const [mistake] = documents.flatMap(({ errors, warnings }) => [...errors, ...warnings])
  if (mistake !== undefined) throw mistake
  if (/[&*][a-z0-9]+$/m.test(text)) throw new Error('there are aliases in it')
  return new Map(documents.map((document) => document.toJS() as Doc).map((doc) => [doc.kind, doc]))
}

await t.test('what installs it', { skip }, async (t) => {
  const { print, all, caText } = await openFolder(t)
  const { code, stdout, stderr } = await print(...all, '--exempt', 'kube-system')
  t.equal(code, 0, stderr)
  const found = readAll(stdout)
  const the = (kind: string): Doc => {
    const one = found.get(kind)
    if (one === undefined) throw new Error(`there is no ${kind}`)
    return one
  }
  const kinds = [
    'Namespace',
    'ServiceAccount',
    'ConfigMap',
    'Deployment',
    'Service',
    'PodDisruptionBudget',
    'NetworkPolicy',
  ]
  t.same([...found.keys()], [...kinds, 'MutatingWebhookConfiguration', 'ValidatingWebhookConfiguration'])

  await t.test('asks about every kind that runs images, whenever an image can come in', async (t) => {
    const core = ['pods', 'podtemplates', 'replicationcontrollers', 'pods/ephemeralcontainers']
    const operations = ['CREATE', 'UPDATE']
    const own = { apiVersions: ['v1'], operations, scope: 'Namespaced' }
    const listed = { apiVersions: ['*'], operations, scope: '*' }
    for (const task of ['Mutating', 'Validating']) {
      t.same(the(`${task}WebhookConfiguration`).webhooks[0].rules, [
        { apiGroups: [''], resources: core, ...own },
        { apiGroups: ['apps'], resources: ['daemonsets', 'deployments', 'replicasets', 'statefulsets'], ...own },
        { apiGroups: ['batch'], resources: ['cronjobs', 'jobs'], ...own },
        { apiGroups: ['argoproj.io'], resources: ['rollouts'], ...listed },
        { apiGroups: ['jobset.x-k8s.io'], resources: ['jobsets'], ...listed },
      ])
    }
  })

  await t.test('fails closed, exempts what is named and no more, and knows whom it talks to', async (t) => {
    for (const [kind, path] of [
      ['Mutating', '/mutate'],
      ['Validating', '/validate'],
    ] as const) {
      const { metadata, webhooks } = the(`${kind}WebhookConfiguration`)
      t.equal(metadata.namespace, undefined)
      t.equal(webhooks.length, 1)
      const [webhook] = webhooks
      t.match(webhook, { failurePolicy: 'Fail', matchPolicy: 'Equivalent', sideEffects: 'None', timeoutSeconds: 10 })
      t.same(webhook.admissionReviewVersions, ['v1'])
      t.ok(webhook.name.split('.').length >= 3, 'as Kubernetes wants names of webhooks')
      t.same(webhook.namespaceSelector, {
        matchExpressions: [
          { key: 'kubernetes.io/metadata.name', operator: 'NotIn', values: ['tagseal', 'kube-system'] },
        ],
      })
      t.same([webhook.objectSelector, webhook.matchConditions], [undefined, undefined])
      t.same(webhook.clientConfig.service, { name: 'tagseal-admission', namespace: 'tagseal', path, port: 443 })
      t.equal(Buffer.from(webhook.clientConfig.caBundle, 'base64').toString(), caText)
    }
    t.equal(the('MutatingWebhookConfiguration').webhooks[0].reinvocationPolicy, 'IfNeeded')
  })

  await t.test('runs by digest, with the policy, without rights, and stays up', async (t) => {
    t.match(stdout, '\n  policy.yaml: |\n    version: 1\n', 'and it can be read in a review')
    t.same(the('ConfigMap').data, { 'policy.yaml': POLICY, 'root.json': '{"a":"root"}' })
    const { spec } = the('Deployment')
    const { containers, volumes, ...pod } = spec.template.spec
    const [container] = containers
    t.equal(container.image, IMAGE)
    t.ok(spec.replicas >= 2)
    t.match(pod, { automountServiceAccountToken: false, securityContext: { runAsNonRoot: true } })
    t.match(container.securityContext, { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true })
    t.same(container.securityContext.capabilities, { drop: ['ALL'] })
    const mounts = container.volumeMounts.map(({ name }) => name)
    t.same(
      mounts,
      volumes.map(({ name }) => name),
      'what is mounted is there',
    )
    const paths = container.volumeMounts.map(({ mountPath }) => mountPath)
    const used = [...container.args, container.env[0]?.value ?? ''].filter((word) => word.startsWith('/'))
    t.ok(
      used.every((word) => paths.some((path) => word.startsWith(path))),
      'and what is used is mounted',
    )
  })

  await t.test('fits together: labels, selectors, ports and namespaces', async (t) => {
    const { spec } = the('Deployment')
    const { labels } = spec.template.metadata
    t.same(spec.selector.matchLabels, labels)
    t.same(the('Service').spec.selector, labels)
    t.same(the('PodDisruptionBudget').spec.selector.matchLabels, labels)
    t.same(the('NetworkPolicy').spec.podSelector.matchLabels, labels)
    const [container] = spec.template.spec.containers
    const port = container.ports[0]?.containerPort
    t.equal(the('Service').spec.ports[0].targetPort, port)
    t.equal(container.readinessProbe.httpGet.port, port)
    t.ok(container.args.includes(`0.0.0.0:${port}`))
    t.equal(spec.template.spec.serviceAccountName, the('ServiceAccount').metadata.name)
    for (const kind of kinds.slice(1)) t.equal(found.get(kind)?.metadata.namespace, 'tagseal')
  })
})

await t.test('another namespace, and one document for programs', { skip }, async (t) => {
  const { print, all } = await openFolder(t)
  const { code, stdout } = await print(...all, '--namespace', 'guard', '--json')
  t.equal(code, 0)
  const documents = JSON.parse(stdout) as readonly Doc[]
  t.equal(documents.at(0)?.metadata.name, 'guard')
  t.same(documents.at(-1)?.webhooks[0].namespaceSelector.matchExpressions[0]?.values, ['guard'])
})

await t.test(
  'a registry on loopback is one on each node, as small clusters have it, and may be a slip',
  { skip },
  async (t) => {
    const { print, all } = await openFolder(t)
    const local = `localhost:32000/tagseal@sha256:${'a'.repeat(64)}`
    const { code, stdout, stderr } = await print('--image', local, ...all.slice(2))
    t.same([code, readAll(stdout).get('Deployment')?.spec.template.spec.containers[0].image], [0, local])
    t.match(stderr, /^warning: every node pulls localhost:32000.* from itself/)
    t.equal((await print(...all)).stderr, '')
  },
)

const WRONG: Record<string, (all: readonly string[]) => readonly string[]> = {
  'no image': (all) => all.slice(2),
  'an image without a digest': (all) => ['--image', 'registry.example.com/tagseal:1', ...all.slice(2)],
  'no authority': (all) => all.slice(0, 2),
  'a namespace that is none': (all) => [...all, '--namespace', 'A b'],
  'an exemption of everything': (all) => [...all, '--exempt', '*'],
}
for (const [name, args] of Object.entries(WRONG)) {
  await t.test(`prints nothing for ${name}`, { skip }, async (t) => {
    const { print, all } = await openFolder(t)
    const { code, stdout, stderr } = await print(...args(all))
    t.same([code, stdout], [2, ''])
    t.match(stderr, /\(USAGE\)/)
  })
}

const STRANDED: Record<string, { from: string; to: string; says: RegExp }> = {
  'a rule without a pin': { from: '    pin: { root: root.json }\n', to: '', says: /policy\.yaml:4:5: it has no pin/ },
  'a rule without a trust server': { from: '    server: https://trust.example.com\n', to: '', says: /no trust server/ },
  'a trust server on this machine': {
    from: 'https://trust.example.com',
    to: 'https://127.0.0.1:4893',
    says: /policy\.yaml:4:5: https:\/\/127\.0\.0\.1:4893\/ is this machine here/,
  },
  'a trust server on this machine by its name': {
    from: 'https://trust.example.com',
    to: 'https://localhost',
    says: /policy\.yaml:4:5: https:\/\/localhost/,
  },
  'a trust server on this machine in six': {
    from: 'https://trust.example.com',
    to: '"https://[::1]:4893"',
    says: /policy\.yaml:4:5: https:\/\/\[::1\]:4893/,
  },
  'a root that is named from the root of this machine': {
    from: 'root.json',
    to: 'FOLDER/root.json',
    says: /leads elsewhere in the cluster/,
  },
  'a root whose name a configuration map cannot have': {
    from: 'root.json',
    to: '"root json"',
    says: /cannot be a name/,
  },
  'an authority of the trust server that is named from the root of this machine': {
    from: 'server: https://trust.example.com',
    to: 'server: https://trust.example.com\n    ca: FOLDER/server.crt',
    says: /leads elsewhere in the cluster.*\n.*put it beside the policy, and write ca: server\.crt/,
  },
  'a token in the folder of the policy': {
    from: 'server:',
    to: 'tokenFile: token\n    server:',
    says: /is a secret.*\n.*kubectl create secret generic tagseal-admission-secrets --namespace tagseal --from-file=token=FILE/,
  },
}
for (const [name, { from, to, says }] of Object.entries(STRANDED)) {
  await t.test(`prints nothing for a policy that cannot be followed in a cluster: ${name}`, { skip }, async (t) => {
    const { print, all, policy, folder } = await openFolder(t)
    await writeFile(join(folder, 'root json'), '{}')
    const before = await readFile(policy, 'utf8')
    await writeFile(policy, before.replace(from, to.replace('FOLDER', folder)))
    const { code, stdout, stderr } = await print(...all)
    t.same([code, stdout], [2, ''])
    t.match(stderr, says)
  })
}

await t.test('a token is mounted from a secret, and is in no configuration map', { skip }, async (t) => {
  const { print, all, policy } = await openFolder(t)
  const before = await readFile(policy, 'utf8')
  await writeFile(policy, `${before}    tokenFile: /etc/tagseal-secrets/token\n`)
  const { code, stdout, stderr } = await print(...all)
  t.equal(code, 0, stderr)
  const { containers, volumes } = readAll(stdout).get('Deployment')?.spec.template.spec ?? {
    containers: [],
    volumes: [],
  }
  t.match(containers[0]?.volumeMounts, [{}, {}, { name: 'secrets', mountPath: '/etc/tagseal-secrets' }, {}])
  t.match(volumes[2], { name: 'secrets', secret: { secretName: 'tagseal-admission-secrets' } })
  t.same(Object.keys(readAll(stdout).get('ConfigMap')?.data ?? {}), ['policy.yaml', 'root.json'])
})

await t.test(
  'the authority of the trust server comes along, and one that would stay here is refused',
  { skip },
  async (t) => {
    const { print, all, policy, ca, caText } = await openFolder(t)
    const stays = await print(...all, '--ca', ca)
    t.same([stays.code, stays.stdout], [2, ''])
    t.match(stays.stderr, /policy\.yaml:4:5: .*server\.crt is not in the cluster.*\nhint: .*ca: server\.crt/)
    await writeFile(policy, `${await readFile(policy, 'utf8')}    ca: server.crt\n`)
    const { code, stdout, stderr } = await print(...all, '--ca', ca)
    t.same([code, stderr], [0, ''])
    const names = { 'policy.yaml': await readFile(policy, 'utf8'), 'root.json': '{"a":"root"}', 'server.crt': caText }
    t.same(readAll(stdout).get('ConfigMap')?.data, names)
  },
)

await t.test('a root that lies elsewhere cannot come along', { skip }, async (t) => {
  const { print, all, policy } = await openFolder(t)
  await writeFile(policy, (await readFile(policy, 'utf8')).replace('root.json', 'elsewhere/root.json'))
  const { code, stderr } = await print(...all)
  t.equal(code, 2)
  t.match(stderr, /leads elsewhere in the cluster/)
})

const CALLS: Record<string, readonly string[]> = {
  'without a certificate': ['--policy', 'policy.yaml'],
  'with a certificate alone': ['--tls-cert', 'x'],
  'with what goes with manifests': ['--tls-cert', 'x', '--tls-key', 'x', '--exempt', 'x'],
}
for (const [name, args] of Object.entries(CALLS)) {
  await t.test(`serves nothing ${name}`, async (t) => {
    const { code, stderr } = await tagsealHere(['admission', ...args])
    t.equal(code, 2)
    t.match(stderr, /\(USAGE\)/)
  })
}
