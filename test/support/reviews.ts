/** What an API server sends, as its documentation and its source have it. */
export type ReviewOptions = {
  readonly operation?: 'CREATE' | 'UPDATE' | 'DELETE' | 'CONNECT'
  readonly before?: object | null
  readonly resource?: string
  readonly group?: string
  readonly subResource?: string
  readonly namespace?: string
  readonly name?: string
  readonly dryRun?: boolean
  /** Changes the request in the end. */
  readonly more?: Readonly<Record<string, unknown>>
}
export type KubeObject = { readonly apiVersion: string; readonly kind: string; readonly [member: string]: unknown }

export const UID = '705ab4f5-6393-11e8-b7cc-42010a800002'

const PLURALS: ReadonlyMap<string, string> = new Map([['Rollout', 'rollouts']])

export function reviewOf(object: KubeObject, options: ReviewOptions = {}): object {
  const { apiVersion, kind } = object
  const [version = '', own = ''] = apiVersion.split('/').toReversed()
  const { operation = 'CREATE', before = null, namespace = 'team', name = '', subResource, dryRun = false } = options
  const resource = options.resource ?? PLURALS.get(kind) ?? `${kind.toLowerCase()}s`
  const deleted = operation === 'DELETE'
  return {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid: UID,
      kind: { group: own, version, kind },
      resource: { group: options.group ?? own, version, resource },
      ...(subResource === undefined ? {} : { subResource }),
      requestKind: { group: own, version, kind },
      name,
      namespace,
      operation,
      userInfo: { username: 'admin', groups: ['system:masters'] },
      object: deleted ? null : object,
      oldObject: deleted ? object : before,
      dryRun,
      options: { apiVersion: 'meta.k8s.io/v1', kind: `${operation[0]}${operation.slice(1).toLowerCase()}Options` },
      ...options.more,
    },
  }
}

/** Containers by name. */
export type PodOf = {
  readonly containers?: Readonly<Record<string, unknown>>
  readonly initContainers?: Readonly<Record<string, unknown>>
  readonly ephemeralContainers?: Readonly<Record<string, unknown>>
  readonly volumes?: Readonly<Record<string, unknown>>
}

export function podSpec({ volumes = {}, ...lists }: PodOf): object {
  const listed: readonly (readonly [string, object])[] = Object.entries(lists).map(([list, images]) => [
    list,
    Object.entries(images).map(([name, image]) => ({ name, image })),
  ])
  const mounted = Object.entries(volumes).map(([name, reference]) => ({ name, image: { reference } }))
  return { ...Object.fromEntries(listed), ...(mounted.length > 0 ? { volumes: mounted } : {}) }
}

export function pod(of: PodOf | string, metadata: object = {}): KubeObject {
  const spec = podSpec(typeof of === 'string' ? { containers: { app: of } } : of)
  return { apiVersion: 'v1', kind: 'Pod', metadata: { namespace: 'team', ...metadata }, spec }
}

/** Any kind whose pod is at `spec.template.spec`, and a CronJob. */
export function workload(apiVersion: string, kind: string, of: PodOf | string, metadata: object = {}): KubeObject {
  const { spec } = pod(of)
  const template = { metadata: { labels: { app: 'x' } }, spec }
  const inner = kind === 'CronJob' ? { jobTemplate: { spec: { template } } } : { replicas: 1, template }
  return { apiVersion, kind, metadata: { namespace: 'team', name: 'x', ...metadata }, spec: inner }
}
