import { dirname } from 'node:path'
import t from 'tap'
import { tryDocument } from '../../support/guide.ts'
import { findChecking } from '../../support/own-check.ts'

// Debian 12 builds skopeo without what this guide is about.
const skopeo = await findChecking('skopeo')
if (skopeo === undefined) t.pass('SKIPPED: no skopeo here checks signatures of sigstore (npm run debian)')
else {
  process.env['PATH'] = `${dirname(skopeo)}:${process.env['PATH'] ?? ''}`
  await tryDocument(t, 'docs/guides/podman.md')
}
