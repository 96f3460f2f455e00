import { HttpError, isHttpError, refusesCertificate } from '../http-errors.ts'
import type { HttpFailures } from '../http-errors.ts'
import type { Http } from '../http.ts'

/** Where its authorities do not vouch for a server, whoever named or kept them hears of those, and not of this machine's. */
export function judgedBy(whose: Pick<HttpFailures['NETWORK'], 'by' | 'given'>, http: Http): Http {
  return {
    async send(request) {
      try {
        return await http.send(request)
      } catch (error) {
        if (!isHttpError(error) || error.code !== 'NETWORK' || !refusesCertificate(error.detail.reason)) throw error
        throw new HttpError('NETWORK', { ...error.detail, ...whose }, { cause: error.cause })
      }
    },
    close: http.close,
  }
}
