import { ModelsPanel } from "@/admin/models/models-panel";
import { PromotionsPanel } from "@/admin/models/promotions";
import { UpstreamsPanel } from "@/admin/models/upstreams";

export function ModelsSection() {
  return (
    <>
      <ModelsPanel />
      <PromotionsPanel />
      <UpstreamsPanel />
    </>
  );
}
