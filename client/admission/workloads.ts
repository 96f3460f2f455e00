/** The kinds of objects that run images, and where in them the pod is described. */
import type { Path } from '../pinning/pods.ts'
import { AdmissionError } from './errors.ts'
import type { Review } from './review.ts'

export type Workload = {
  readonly group: string
  readonly resource: string
  readonly kind: string
  readonly pod: Path
}

const TEMPLATE: Path = ['spec', 'template', 'spec']

/** All of Kubernetes' own, in the one version that there is of each. */
export const WORKLOADS: readonly Workload[] = [
  { group: '', resource: 'pods', kind: 'Pod', pod: ['spec'] },
  { group: '', resource: 'podtemplates', kind: 'PodTemplate', pod: ['template', 'spec'] },
  { group: '', resource: 'replicationcontrollers', kind: 'ReplicationController', pod: TEMPLATE },
  { group: 'apps', resource: 'daemonsets', kind: 'DaemonSet', pod: TEMPLATE },
  { group: 'apps', resource: 'deployments', kind: 'Deployment', pod: TEMPLATE },
  { group: 'apps', resource: 'replicasets', kind: 'ReplicaSet', pod: TEMPLATE },
  { group: 'apps', resource: 'statefulsets', kind: 'StatefulSet', pod: TEMPLATE },
  { group: 'batch', resource: 'cronjobs', kind: 'CronJob', pod: ['spec', 'jobTemplate', ...TEMPLATE] },
  { group: 'batch', resource: 'jobs', kind: 'Job', pod: TEMPLATE },
]
export const VERSION = 'v1'

/** How a pod that runs gets one more container. */
export const EPHEMERAL = 'ephemeralcontainers'

/** What they carry has no image in it, or none that counts: of a `status` or `resize` API servers take nothing else. */
const WITHOUT_IMAGES: ReadonlyMap<string, string | undefined> = new Map([
  ['scale', 'Scale'],
  ['binding', 'Binding'],
  ['eviction', 'Eviction'],
  ['resize', 'Pod'],
  ['status', undefined],
])

/**
 * The pod in what is reviewed: a path to it, or `anywhere` in a kind that the policy lists; undefined where no image can
 * come in. Throws KIND_NOT_NAMED for what nobody spoke of.
 */
export function podIn(review: Review, listed: readonly string[]): Path | 'anywhere' | undefined {
  if (review.object === undefined) return undefined
  const workload = WORKLOADS.find((one) => nameOf(one) === review.resource)
  const isListed = listed.includes(review.resource)
  if (workload === undefined && !isListed) throw unknown(review)
  if (review.subresource !== undefined && !isChecked(review)) {
    if (!WITHOUT_IMAGES.has(review.subresource)) throw unknown(review)
    if (![undefined, review.kind].includes(WITHOUT_IMAGES.get(review.subresource))) throw unknown(review)
    return undefined
  }
  if (workload === undefined) return 'anywhere'
  if (workload.kind !== review.kind || review.version !== VERSION) throw unknown(review)
  return workload.pod
}

function isChecked({ resource, subresource }: Review): boolean {
  return resource === 'pods' && subresource === EPHEMERAL
}

function nameOf({ group, resource }: Workload): string {
  return group === '' ? resource : `${resource}.${group}`
}

function unknown({ resource, subresource, kind, version }: Review): AdmissionError<'KIND_NOT_NAMED'> {
  const of = WORKLOADS.some((one) => nameOf(one) === resource) ? ` (${kind} ${version})` : ''
  const below = subresource === undefined ? '' : `/${subresource}`
  return new AdmissionError('KIND_NOT_NAMED', { resource: `${resource}${below}${of}` })
}
