/** What installs the webhook in a cluster. */
import { basename } from 'node:path'
import { stringify } from 'yaml'
import { usage } from '../commands/errors.ts'
import { readUserFile } from '../files.ts'
import type { FilePolicy } from '../policy/policy.ts'
import { POLICY_FOLDER, refuseStranded, secretsOf, SECRETS, SECRETS_FOLDER } from './in-cluster.ts'
import { EPHEMERAL, VERSION, WORKLOADS } from './workloads.ts'

export type ManifestWish = {
  readonly image: string
  /** PEM. */
  readonly caBundle: string
  readonly namespace: string
  readonly exempt: readonly string[]
  readonly policy: FilePolicy
}
export type Manifest = { readonly apiVersion: string; readonly kind: string; readonly [member: string]: unknown }

const NAME = 'tagseal-admission'
const POLICY_FILE = 'policy.yaml'
const PORT = 8443
/** Of a configuration map, by Kubernetes. */
const MOST_BYTES = 1024 * 1024
const LABELS = { 'app.kubernetes.io/name': NAME }

export async function manifestsFor(wish: ManifestWish): Promise<readonly Manifest[]> {
  const { namespace } = wish
  refuseStranded(wish.policy, namespace)
  const metadata = { name: NAME, namespace, labels: LABELS }
  return [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace, labels: RESTRICTED } },
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata, automountServiceAccountToken: false },
    { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: await policyFiles(wish.policy) },
    { apiVersion: 'apps/v1', kind: 'Deployment', metadata, spec: deployment(wish) },
    { apiVersion: 'v1', kind: 'Service', metadata, spec: SERVICE },
    { apiVersion: 'policy/v1', kind: 'PodDisruptionBudget', metadata, spec: { minAvailable: 1, selector } },
    { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata, spec: NETWORK },
    configuration('MutatingWebhookConfiguration', {
      ...webhook(wish, 'mutate'),
      // What another webhook adds after us is looked at as well.
      reinvocationPolicy: 'IfNeeded',
    }),
    configuration('ValidatingWebhookConfiguration', webhook(wish, 'validate')),
  ]
}

export function printYaml(manifests: readonly Manifest[]): string {
  return manifests
    .map((one) => stringify(one, { aliasDuplicateObjects: false, blockQuote: 'literal' }))
    .join('---\n')
    .trimEnd()
}

const RESTRICTED = { ...LABELS, 'pod-security.kubernetes.io/enforce': 'restricted' }
const selector = { matchLabels: LABELS }
const SERVICE = { selector: LABELS, ports: [{ name: 'https', port: 443, targetPort: PORT }] }
const NETWORK = {
  podSelector: selector,
  policyTypes: ['Ingress'],
  ingress: [{ ports: [{ protocol: 'TCP', port: PORT }] }],
}

/** Together with the roots and authorities it names, which lie beside it: in a pod there is one folder for all. */
async function policyFiles({ path, files }: FilePolicy): Promise<Readonly<Record<string, string>>> {
  const read = new Map<string, string>()
  for (const file of new Set(files)) {
    const name = file === path ? POLICY_FILE : basename(file)
    if (read.has(name))
      throw usage(`in the cluster the policy is ${POLICY_FILE}, and another file has that name`, 'rename it')
    read.set(name, Buffer.from(await readUserFile(file, MOST_BYTES)).toString('utf8'))
  }
  const size = [...read.values()].reduce((sum, text) => sum + Buffer.byteLength(text), 0)
  if (size > MOST_BYTES) throw usage(`the policy and what it names have more than ${MOST_BYTES} bytes`)
  return Object.fromEntries(read)
}

function deployment(wish: ManifestWish): object {
  return {
    replicas: 2,
    selector,
    strategy: { rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
    template: { metadata: { labels: LABELS }, spec: pod(wish) },
  }
}

function pod({ image, policy }: ManifestWish): object {
  const hasSecrets = secretsOf(policy).length > 0
  const probe = (path: string) => ({ httpGet: { path, port: PORT, scheme: 'HTTPS' }, periodSeconds: 5 })
  return {
    serviceAccountName: NAME,
    automountServiceAccountToken: false,
    priorityClassName: 'system-cluster-critical',
    terminationGracePeriodSeconds: 30,
    topologySpreadConstraints: [
      {
        maxSkew: 1,
        topologyKey: 'kubernetes.io/hostname',
        whenUnsatisfiable: 'ScheduleAnyway',
        labelSelector: selector,
      },
    ],
    securityContext: { runAsNonRoot: true, runAsUser: 65_532, seccompProfile: { type: 'RuntimeDefault' } },
    containers: [
      {
        name: 'admission',
        image,
        args: ['admission', '--policy', `${POLICY_FOLDER}/${POLICY_FILE}`, '--listen', `0.0.0.0:${PORT}`, ...TLS],
        env: [{ name: 'TAGSEAL_HOME', value: '/var/lib/tagseal' }],
        ports: [{ containerPort: PORT }],
        readinessProbe: probe('/readyz'),
        livenessProbe: probe('/healthz'),
        // Until nobody is sent here any more.
        lifecycle: { preStop: { exec: { command: ['node', '-e', 'setTimeout(() => {}, 5000)'] } } },
        resources: { requests: { cpu: '100m', memory: '128Mi' }, limits: { memory: '512Mi' } },
        securityContext: {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        },
        volumeMounts: [
          { name: 'policy', mountPath: POLICY_FOLDER, readOnly: true },
          { name: 'tls', mountPath: '/etc/tagseal-tls', readOnly: true },
          ...(hasSecrets ? [{ name: 'secrets', mountPath: SECRETS_FOLDER, readOnly: true }] : []),
          { name: 'state', mountPath: '/var/lib/tagseal' },
        ],
      },
    ],
    volumes: [
      { name: 'policy', configMap: { name: NAME } },
      { name: 'tls', secret: { secretName: `${NAME}-tls` } },
      ...(hasSecrets ? [{ name: 'secrets', secret: { secretName: SECRETS } }] : []),
      { name: 'state', emptyDir: {} },
    ],
  }
}

const TLS = ['--tls-cert', '/etc/tagseal-tls/tls.crt', '--tls-key', '/etc/tagseal-tls/tls.key'] as const

function configuration(kind: string, webhook: object): Manifest {
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind,
    metadata: { name: NAME, labels: LABELS },
    webhooks: [webhook],
  }
}

/** Its own namespace is not asked about: were it down, nothing could start it. Every other one is, unless it is named. */
function webhook({ namespace, caBundle, exempt, policy }: ManifestWish, task: 'mutate' | 'validate'): object {
  const passedOver = [...new Set([namespace, ...exempt])]
  return {
    name: `${task}.images.tagseal`,
    clientConfig: {
      service: { name: NAME, namespace, path: `/${task}`, port: 443 },
      caBundle: Buffer.from(caBundle).toString('base64'),
    },
    rules: rulesFor(policy.workloads),
    failurePolicy: 'Fail',
    matchPolicy: 'Equivalent',
    namespaceSelector: {
      matchExpressions: [{ key: 'kubernetes.io/metadata.name', operator: 'NotIn', values: passedOver }],
    },
    sideEffects: 'None',
    timeoutSeconds: 10,
    admissionReviewVersions: ['v1'],
  }
}

/** Not DELETE: what goes away brings no image, and must go away also while the webhook is down. */
function rulesFor(listed: readonly string[]): readonly object[] {
  const operations = ['CREATE', 'UPDATE']
  const groups = [...new Set(WORKLOADS.map(({ group }) => group))]
  const own = groups.map((group) => {
    const resources = WORKLOADS.filter((one) => one.group === group).map(({ resource }) => resource)
    const below = resources.includes('pods') ? [`pods/${EPHEMERAL}`] : []
    return rule(group, VERSION, [...resources, ...below], 'Namespaced')
  })
  return [...own, ...listed.map(listedRule)]

  function rule(group: string, version: string, resources: readonly string[], scope: string): object {
    return { apiGroups: [group], apiVersions: [version], operations, resources, scope }
  }

  function listedRule(name: string): object {
    const dot = name.indexOf('.')
    return rule(name.slice(dot + 1), '*', [name.slice(0, dot)], '*')
  }
}
