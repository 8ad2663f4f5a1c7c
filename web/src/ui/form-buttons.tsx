import { useTranslation } from "react-i18next";

import { Button } from "@/ui/button";

interface FormButtonsProps {
  action: string;
  disabled?: boolean;
  onCancel: () => void;
}

/** The end of a form in a dialog. */
export function FormButtons({ action, disabled = false, onCancel }: FormButtonsProps) {
  const { t } = useTranslation();
  return (
    <div className="flex justify-end gap-2">
      <Button onClick={onCancel}>{t("common.cancel")}</Button>
      <Button type="submit" look="solid" disabled={disabled}>
        {action}
      </Button>
    </div>
  );
}
