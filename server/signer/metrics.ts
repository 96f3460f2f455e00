import { Counter, Gauge, Registry, collectDefaultMetrics } from 'prom-client'

export type SignerMetrics = {
  readonly contentType: string
  readonly text: () => Promise<string>
  readonly signed: (role: string) => void
  readonly refused: (code: string) => void
}

export function makeSignerMetrics(countKeys: () => number): SignerMetrics {
  const registry = new Registry()
  const registers = [registry]
  // Looking at the event loop wakes an idle process; ten times a second tells as much as a hundred times.
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 100 })
  const signed = new Counter({
    name: 'tagseal_signer_signatures_total',
    help: 'Signatures by role.',
    labelNames: ['role'],
    registers,
  })
  const refused = new Counter({
    name: 'tagseal_signer_refusals_total',
    help: 'Refusals by code. An honest server meets none but VERSION_SPENT.',
    labelNames: ['code'],
    registers,
  })
  const keys = new Gauge({ name: 'tagseal_signer_keys', help: 'Keys.', registers })
  return {
    contentType: registry.contentType,
    async text() {
      keys.set(countKeys())
      return registry.metrics()
    },
    signed: (role) => signed.inc({ role }),
    refused: (code) => refused.inc({ code }),
  }
}
