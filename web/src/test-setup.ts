/** For every unit test. */

import { configure } from "@testing-library/react";

// What is loaded when it is first shown may take seconds on a busy machine; a test waits for it and not for a clock.
configure({ asyncUtilTimeout: 20_000 });
