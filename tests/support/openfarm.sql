-- OpenFarm's tables as its other services have them before PMS starts.

CREATE TABLE printer_models (
    id        integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model     varchar(255) NOT NULL UNIQUE,
    autostart boolean NOT NULL,
    bed_x_min integer,
    bed_x_max integer,
    bed_y_min integer,
    bed_y_max integer,
    bed_z_min integer,
    bed_z_max integer
);

CREATE TABLE printers (
    id                 integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    printer            varchar(255) NOT NULL UNIQUE,
    printer_model_id   integer NOT NULL REFERENCES printer_models (id) ON DELETE CASCADE,
    ip_address         varchar(255),
    api_key            varchar(255),
    enabled            boolean NOT NULL,
    autostart          boolean,
    currently_printing boolean NOT NULL DEFAULT false
);

CREATE TABLE material_types (
    id                 integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    type               varchar(255) NOT NULL UNIQUE,
    bed_temp_floor     integer,
    bed_temp_ceiling   integer,
    print_temp_floor   integer,
    print_temp_ceiling integer
);

CREATE TABLE colors (
    id    integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    color varchar(255) NOT NULL UNIQUE
);

CREATE TABLE materials (
    id                integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    material_type_id  integer NOT NULL REFERENCES material_types (id) ON DELETE CASCADE,
    material_color_id integer NOT NULL REFERENCES colors (id) ON DELETE CASCADE,
    in_stock          boolean NOT NULL,
    UNIQUE (material_type_id, material_color_id)
);

CREATE TABLE printers_loaded_materials (
    id          integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    printer_id  integer NOT NULL REFERENCES printers (id) ON DELETE CASCADE,
    material_id integer NOT NULL REFERENCES materials (id) ON DELETE CASCADE,
    UNIQUE (printer_id, material_id)
);

CREATE TABLE users (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       varchar(255) NOT NULL,
    verified   boolean,
    suspended  boolean NOT NULL DEFAULT false,
    org_id     varchar(255) UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE print_jobs (
    id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id           bigint REFERENCES users (id) ON DELETE SET NULL,
    created_at        timestamptz NOT NULL DEFAULT now(),
    submitted_at      timestamptz NOT NULL,
    completed_at      timestamptz,
    printer_model_id  integer REFERENCES printer_models (id) ON DELETE SET NULL,
    material_id       integer REFERENCES materials (id) ON DELETE SET NULL,
    response_id       varchar(255),
    num_copies        integer NOT NULL DEFAULT 1,
    print_cost        numeric(7, 2),
    print_weight      double precision,
    print_time        double precision,
    paid              boolean NOT NULL DEFAULT false,
    finished_byte_pos bigint,
    job_status        varchar(255) NOT NULL DEFAULT 'received' CHECK (job_status IN (
        'received', 'systemApproved', 'operatorApproved', 'printing', 'completed', 'cancelled',
        'rejected'
    ))
);

CREATE TABLE prints (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    print_job_id bigint REFERENCES print_jobs (id) ON DELETE CASCADE,
    printer_id   integer REFERENCES printers (id) ON DELETE SET NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    started_at   timestamptz,
    finished_at  timestamptz,
    print_status varchar(255) NOT NULL DEFAULT 'pending' CHECK (print_status IN (
        'pending', 'printing', 'completed', 'failed', 'cancelled'
    ))
);

CREATE TABLE maintenance (
    maintenance_report_id        integer PRIMARY KEY REFERENCES printers (id) ON DELETE CASCADE,
    date_of_last_service         timestamptz,
    date_of_next_service         timestamptz,
    session_uptime               integer NOT NULL DEFAULT 0,
    thermal_load_f               numeric(8, 3) NOT NULL DEFAULT 0,
    thermal_load_c               numeric(8, 3) NOT NULL DEFAULT 0,
    session_extrusion_volume_m3  numeric(8, 3) NOT NULL DEFAULT 0,
    session_extruder_traveled_m  numeric(8, 3) NOT NULL DEFAULT 0,
    session_error_count          integer NOT NULL DEFAULT 0,
    session_prints_completed     integer NOT NULL DEFAULT 0,
    session_prints_failed        integer NOT NULL DEFAULT 0
);
