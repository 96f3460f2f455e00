import type { Settings } from '../config.ts'
import type { TokenRecord } from '../storage/store.ts'
import type { Access } from './access.ts'
import { callerOf } from './authenticate.ts'
import type { Caller } from './authenticate.ts'
import { listOf, parseServices } from './services.ts'
import type { Service } from './services.ts'

/** Decides what of a wish goes into an access token: never more than the token of the store allows. */
export type Granting = {
  /** undefined for a service that we issue no tokens for. */
  readonly serviceOf: (name: string | undefined) => Service | undefined
  readonly grant: (service: Service, scopes: readonly Access[], holder?: TokenRecord) => readonly Access[]
}

export function makeGranting(settings: Settings): Granting {
  const { tokenService, tokenServices = '', tokenPublicServices = '' } = settings
  const services = new Map<string, Service>()
  for (const service of parseServices(tokenServices) ?? []) services.set(service.name, service)
  services.set(tokenService, { name: tokenService })
  const open = new Set(listOf(tokenPublicServices))
  if (!settings.private) open.add(tokenService)
  return {
    serviceOf: (name) => services.get(name ?? tokenService),
    grant(service, scopes, holder) {
      const may = { open: open.has(service.name), ...(holder === undefined ? {} : { caller: callerOf(holder) }) }
      return scopes
        .map((scope) => ({ ...scope, actions: allowed(scope, service, may) }))
        .filter(({ actions }) => actions.length > 0)
    },
  }
}

/** `open`: anybody may pull from the service. */
type Rights = { readonly open: boolean; readonly caller?: Caller }

function allowed({ type, name, actions }: Access, { host }: Service, rights: Rights): readonly string[] {
  if (type === 'registry') return name === 'catalog' && rights.caller?.allowsCatalogue === true ? ['*'] : []
  if (type !== 'repository') return []
  const repository = host === undefined ? name : `${host}/${name}`
  return [...new Set(actions.flatMap((action) => allowedAction(action, repository, rights)))]
}

/**
 * `*` is more than what most tokens allow, and notary asks for it to rotate a key: who may only push and pull gets
 * that instead, which is enough here.
 */
function allowedAction(action: string, repository: string, { open, caller }: Rights): readonly string[] {
  const may = (what: 'pull' | 'push' | 'admin') => caller?.allows(what, repository) === true
  switch (action) {
    case 'pull':
      return open || may('pull') ? ['pull'] : []
    case 'push':
      return may('push') ? ['push'] : []
    case 'delete':
      return may('admin') ? ['delete'] : []
    case '*':
      if (may('admin')) return ['*']
      return (['push', 'pull'] as const).filter((lesser) => may(lesser) || (open && lesser === 'pull'))
    default:
      return []
  }
}
