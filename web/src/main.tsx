import { render } from "preact";

import { App } from "./app";
import { startLive } from "./live";

startLive();
render(<App />, document.getElementById("app")!);
