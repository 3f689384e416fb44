import type { Core } from './core.ts'
import type { AuthFailures } from './keys.ts'
import type { Limits } from './route.ts'

/** What every facade is given. */
export interface FacadeWorld {
  core: Core
  limits: Limits
  failures: AuthFailures
}
