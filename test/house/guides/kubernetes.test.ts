import t from 'tap'
import { tryDocument } from '../../support/guide.ts'

await tryDocument(t, 'docs/guides/kubernetes.md')
